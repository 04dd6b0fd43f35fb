-- Sorts that go through temporary files, joins, recursion, windows, text search, JSON: what a query may ask of memory.
.bail on
.open /tmp/queries.db
pragma cache_size = 100;
pragma temp_store = file;
create table number(n integer, word text);
with recursive r(i, x) as (select 1, 12345 union all select i + 1, (x * 1103515245 + 12345) % 2147483648 from r where i < 60000)
  insert into number select x % 10007, printf('%08x', x) from r;
select 'rows', count(*), count(distinct n), sum(n) from number;

-- A sort of more than the cache holds.
select 'sorted', n, word from number order by word desc, n limit 3;
create index by_word on number(word);
create index by_number on number(n, word);
select 'by index', n, word from number indexed by by_word where word > '7ff' order by word limit 2;
select 'same either way', (select count(*) from number where n between 100 and 200) =
                          (select count(*) from number not indexed where n between 100 and 200);

-- Joins, groups, windows.
create temp table small as select n, count(*) as c from number where n < 50 group by n;
select 'join', count(*), sum(a.c), max(b.word >= a.n) from small a join number b on a.n = b.n;
select 'left join', count(*), count(b.n) from (select n from small union all select -1) a left join small b using (n);
select 'window', n, c, sum(c) over (order by n), rank() over (order by c desc, n) from small order by n limit 3;
select 'groups', count(*) from (select n % 100 as g, count(*) from number group by g having count(*) > 1);

-- Recursion: eight queens, a sequence, a walk that ends where it began.
with recursive
  digit(d) as (select 1 union all select d + 1 from digit where d < 8),
  board(row, q) as (
    select 0, '' union all
    select row + 1, q || c.d from board, digit as c
      where row < 8 and not exists (
        select 1 from digit as r where r.d <= row and
          abs(cast(substr(q, r.d, 1) as integer) - c.d) in (0, row + 1 - r.d)))
select 'queens', count(*), min(q), max(q) from board where row = 8;
with recursive f(n, a, b) as (select 0, 0, 1 union all select n + 1, b, a + b from f where n < 90)
  select 'fibonacci', a from f where n = 90;
with recursive walk(k) as (select 1 union select k * 3 % 65537 from walk)
  select 'order of 3', count(*) from walk;

-- Big values.
create table value(v);
insert into value values(printf('%.*c', 5000000, 'x')), (zeroblob(8000000)), (1e308), (-9223372036854775808), (null);
select 'values', typeof(v), length(v) from value where typeof(v) in ('text', 'blob');
update value set v = v || v where typeof(v) = 'text';
select 'doubled', length(v), substr(v, -2) from value where typeof(v) = 'text';
select 'arithmetic', v * 10, -v from value where typeof(v) = 'real';
delete from value;

-- JSON and text.
select 'json', json_extract('{"a":[1,2,{"b":"c"}]}', '$.a[2].b'), (select sum(value) from json_each('[1,2,3.5]'));
create virtual table text using fts5(body);
insert into text select 'the quick brown fox number ' || rowid || ' ' || word from number where rowid <= 2000;
select 'search', count(*) from text where text match 'quick AND 1999';
insert into text(text) values('integrity-check');
drop table text;
drop index by_number;
vacuum;
pragma integrity_check;
pragma freelist_count;
.shell rm /tmp/queries.db
