/* snprintf: conversions d i u x X o p s c %, flags - 0 + space # (x only), width, precision, lengths hh h l ll z. */
#include "lib/print.h"
#include "lib/string.h"

struct out {
    char *buf;
    size_t size, len; /* len: what it would be */
};

struct spec {
    bool left, zero, plus, space, alt, upper, pointer;
    int width, precision; /* precision < 0: none */
    int length;           /* -2 hh, -1 h, 0, 1 l, ll or z */
    unsigned base;
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void pad(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_string(struct out *o, const struct spec *s, const char *str)
{
    size_t n = s->precision >= 0 ? strnlen(str, (size_t)s->precision) : strlen(str);

    if (!s->left)
        pad(o, ' ', s->width - (int)n);
    for (size_t i = 0; i < n; i++)
        put(o, str[i]);
    if (s->left)
        pad(o, ' ', s->width - (int)n);
}

static void put_number(struct out *o, const struct spec *s, u64 v, bool negative)
{
    const char *digits = s->upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24] /* 22 octal digits */, sign = negative ? '-' : s->plus ? '+' : s->space ? ' ' : 0;
    int n = 0, zeros, prefix = s->alt && s->base == 16 && (v || s->pointer) ? 2 : 0, total;

    for (u64 left = v; left; left /= s->base)
        text[n++] = digits[left % s->base];
    if (n == 0 && s->precision != 0)
        text[n++] = '0';
    zeros = s->precision > n ? s->precision - n : 0;
    total = n + zeros + prefix + (sign != 0);
    if (s->zero && !s->left && s->precision < 0 && s->width > total) {
        zeros = s->width - total;
        total = s->width;
    }
    if (!s->left)
        pad(o, ' ', s->width - total);
    if (sign)
        put(o, sign);
    if (prefix) {
        put(o, '0');
        put(o, s->upper ? 'X' : 'x');
    }
    pad(o, '0', zeros);
    while (n > 0)
        put(o, text[--n]);
    if (s->left)
        pad(o, ' ', s->width - total);
}

static const char *parse_number(const char *f, int *out, va_list *ap)
{
    if (*f == '*') {
        *out = va_arg(*ap, int);
        return f + 1;
    }
    for (*out = 0; *f >= '0' && *f <= '9'; f++)
        *out = *out * 10 + (*f - '0');
    return f;
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
    *s = (struct spec){.precision = -1, .base = 10};
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '0')
            s->zero = true;
        else if (*f == '+')
            s->plus = true;
        else if (*f == ' ')
            s->space = true;
        else if (*f == '#')
            s->alt = true;
        else
            break;
    }
    f = parse_number(f, &s->width, ap);
    if (s->width < 0) {
        s->left = true;
        s->width = -s->width;
    }
    if (*f == '.')
        f = parse_number(f + 1, &s->precision, ap);
    for (;; f++) {
        if (*f == 'l' || *f == 'z')
            s->length = 1;
        else if (*f == 'h')
            s->length--;
        else
            return f;
    }
}

static s64 signed_arg(const struct spec *s, va_list *ap)
{
    if (s->length > 0)
        return va_arg(*ap, long);
    return s->length == 0 ? va_arg(*ap, int) : s->length == -1 ? (short)va_arg(*ap, int) : (s8)va_arg(*ap, int);
}

static u64 unsigned_arg(const struct spec *s, va_list *ap)
{
    if (s->length > 0)
        return va_arg(*ap, unsigned long);
    return s->length == 0    ? va_arg(*ap, unsigned)
           : s->length == -1 ? (u16)va_arg(*ap, unsigned)
                             : (u8)va_arg(*ap, unsigned);
}

static void convert(struct out *o, char c, struct spec *s, va_list *ap)
{
    const char *str;
    char one[2] = "";
    s64 v;

    switch (c) {
    case 'd':
    case 'i':
        v = signed_arg(s, ap);
        put_number(o, s, v < 0 ? -(u64)v : (u64)v, v < 0);
        break;
    case 'p':
        s->alt = s->pointer = true;
        s->base = 16;
        put_number(o, s, (u64)va_arg(*ap, void *), false);
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        s->base = c == 'u' ? 10 : c == 'o' ? 8 : 16;
        s->upper = c == 'X';
        s->plus = s->space = false;
        put_number(o, s, unsigned_arg(s, ap), false);
        break;
    case 's':
        str = va_arg(*ap, const char *);
        put_string(o, s, str ? str : "(null)");
        break;
    case 'c':
        one[0] = (char)va_arg(*ap, int);
        pad(o, ' ', s->left ? 0 : s->width - 1);
        put(o, one[0]);
        pad(o, ' ', s->left ? s->width - 1 : 0);
        break;
    case '%':
        put(o, '%');
        break;
    default: /* not a conversion: shown as it stands */
        put(o, '%');
        put(o, c);
    }
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = {buf, size, 0};
    struct spec s;
    va_list ap;

    va_copy(ap, args);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        fmt = parse_spec(fmt + 1, &s, &ap);
        if (!*fmt)
            break;
        convert(&o, *fmt, &s, &ap);
    }
    va_end(ap);
    if (size > 0)
        buf[o.len < size ? o.len : size - 1] = 0;
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
