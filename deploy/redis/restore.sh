# Puts a backup, an RDB file on standard input, in the place of all that a Redis holds whose
# append-only file is on. It counts once Redis is started again. Of Redis 7.0 or later.
#
#   sh restore.sh [FOLDER] < notes.rdb      the folder of Redis's data; /data where none is named
#
# Redis reads no RDB file while its append-only file is on. But the first part of that is one: so
# the backup becomes the first part of a new append-only file. The one of before is kept
# beside it as `before-restore`.
set -eu
cd "${1:-/data}"

rm -rf restoring
mkdir restoring
cat > restoring/appendonly.aof.1.base.rdb
case $(head -c 5 restoring/appendonly.aof.1.base.rdb) in
  REDIS | VALKE) ;;
  *)
    rm -rf restoring
    echo "standard input is no RDB file: nothing was changed" >&2
    exit 1
    ;;
esac
echo "file appendonly.aof.1.base.rdb seq 1 type b" > restoring/appendonly.aof.manifest
# A file that is cut short, or has something behind its end, would keep Redis from starting.
for check in redis-check-aof valkey-check-aof; do
  if command -v "$check" >/dev/null && ! "$check" restoring/appendonly.aof.manifest >&2; then
    rm -rf restoring
    echo "the backup is damaged: nothing was changed" >&2
    exit 1
  fi
done
# As root in a container: Redis itself runs as the owner of the folder.
[ "$(id -u)" != 0 ] || chown -R "$(stat -c %u:%g .)" restoring

rm -rf before-restore
[ ! -d appendonlydir ] || mv appendonlydir before-restore
mv restoring appendonlydir
sync
echo "restored $(wc -c < appendonlydir/appendonly.aof.1.base.rdb) bytes; start Redis again now" >&2
