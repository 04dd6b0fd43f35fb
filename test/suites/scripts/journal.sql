-- Transactions, savepoints, the rollback journal and the write-ahead log, on a file.
.bail on
.open /tmp/journal.db
pragma journal_mode;
pragma page_size = 4096;
create table account(id integer primary key, name text unique not null, balance integer not null check (balance >= 0));
with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)
  insert into account select i, 'name ' || i, 1000 from n;
select 'accounts', count(*), sum(balance) from account;

-- One that is taken back leaves nothing.
begin;
update account set balance = balance - 500 where id % 2 = 0;
insert into account values(2000, 'too many', 1);
select 'inside', count(*), sum(balance) from account;
rollback;
select 'rolled back', count(*), sum(balance) from account;

-- Savepoints, one in another.
begin;
update account set balance = 1 where id = 1;
savepoint a;
update account set balance = 2 where id = 1;
savepoint b;
delete from account;
select 'all deleted', count(*) from account;
rollback to b;
select 'back to b', count(*), (select balance from account where id = 1) from account;
rollback to a;
release a;
commit;
select 'committed', balance from account where id = 1;

-- A check that fails takes its own statement back, and that alone.
-- (The shell goes on after an error from here on; its status says in the end that there were some.)
.bail off
begin;
update account set balance = 77 where id = 3;
update account set balance = balance - 1000000 where id > 3;
insert into account values(5000, 'name 3', 0);
commit;
select 'after errors', count(*), (select balance from account where id = 3), (select min(balance) from account where id > 3) from account;

-- The same with other journals.
pragma journal_mode = truncate;
update account set balance = balance + 1;
pragma journal_mode = persist;
update account set balance = balance + 1;
pragma journal_mode = memory;
update account set balance = balance + 1;
select 'journals', sum(balance) from account;

-- The write-ahead log: memory that is shared through a file beside the database.
pragma journal_mode = wal;
pragma wal_autocheckpoint = 0;
create table big(id integer primary key, data blob);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
  insert into big select i, zeroblob(4000) from n;
begin immediate;
update big set data = replace(hex(zeroblob(2000)), '00', char(97 + id % 26));
rollback;
select 'wal rolled back', count(*), sum(length(data)), max(hex(data) = hex(zeroblob(4000))) from big;
update big set data = printf('%.*c', 3000 + id, char(97 + id % 26));
select 'wal', count(*), sum(length(data)), substr(data, 1, 3) from big where id = 27;
pragma wal_checkpoint(truncate);
pragma mmap_size = 67108864;
select 'mapped', sum(length(data)), count(distinct substr(data, 1, 1)) from big;
delete from big where id % 3 = 0;
pragma wal_checkpoint(full);
vacuum;
pragma page_count;
pragma freelist_count;
pragma journal_mode = delete;
pragma integrity_check;
select 'files', (select count(*) from account), (select count(*) from big);
.shell ls /tmp/journal.db*
.shell rm /tmp/journal.db
