/* A circular doubly linked list with the links inside the elements. */
#pragma once
#include "lib/types.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name) \
    {                   \
        &(name), &(name) \
    }

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next)
{
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}

/* Adds n at the front of head. */
static inline void list_push(struct list *head, struct list *n)
{
    list_insert_between(n, head, head->next);
}

/* Adds n at the end of head. */
static inline void list_append(struct list *head, struct list *n)
{
    list_insert_between(n, head->prev, head);
}

/* Takes n out of its list and leaves it an empty list, so that removing twice does no harm. */
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)
#define list_last(head, type, member) list_entry((head)->prev, type, member)
#define list_for_each(pos, head, member)                                        \
    for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
         pos = list_entry(pos->member.next, __typeof__(*pos), member))
/* The same, safe against removal of pos. */
#define list_for_each_safe(pos, tmp, head, member)                               \
    for (pos = list_entry((head)->next, __typeof__(*pos), member),               \
        tmp = list_entry(pos->member.next, __typeof__(*pos), member);            \
         &pos->member != (head);                                                 \
         pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))
