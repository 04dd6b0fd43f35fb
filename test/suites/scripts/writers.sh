# Four processes of sqlite3 write to one database at a time, by its locks and its shared memory; none may lose a row.
rm -f /tmp/writers.db*
sqlite3 /tmp/writers.db 'pragma journal_mode = wal; create table entry(who integer, i integer, primary key (who, i)); create table total(n integer);
    insert into total values(0);'
for who in 1 2 3 4; do
    i=0
    while [ $i -lt 25 ]; do
        echo ".timeout 60000"
        echo "begin immediate; insert into entry values($who, $i); update total set n = n + 1; commit;"
        i=$((i + 1))
    done | sqlite3 /tmp/writers.db &
done
wait
sqlite3 /tmp/writers.db 'select count(*), count(distinct who), sum(i) from entry; select n from total; pragma integrity_check;'

# The same with the rollback journal, and a reader all the time.
sqlite3 /tmp/writers.db 'pragma journal_mode = delete;'
(while [ ! -e /tmp/writers.end ]; do
    sqlite3 -cmd '.timeout 60000' /tmp/writers.db 'select (select count(*) from entry) - (select n from total);'
done) | sort -u &
reader=$!
for who in 5 6 7 8; do
    i=0
    while [ $i -lt 10 ]; do
        echo ".timeout 60000"
        echo "begin immediate; insert into entry values($who, $i); update total set n = n + 1; commit;"
        i=$((i + 1))
    done | sqlite3 /tmp/writers.db &
    writers="$writers $!"
done
wait $writers
touch /tmp/writers.end
wait $reader
sqlite3 /tmp/writers.db 'select count(*) from entry; select n from total; pragma integrity_check;'

# A writer is killed in the middle of its transaction: the next one finds all as it was.
(echo "begin immediate; delete from entry; update total set n = -1;"; sleep 8) | sqlite3 /tmp/writers.db &
sleep 2
kill -9 $(pidof sqlite3)
sqlite3 -cmd '.timeout 60000' /tmp/writers.db 'select count(*) from entry; select n from total; pragma integrity_check;'
wait
rm -f /tmp/writers.*
