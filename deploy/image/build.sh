#!/bin/sh
# The steps that the images of both services are built with; their Dockerfiles say the rest.
# Each step leaves no time of the build behind, so that the same input gives the same layers.
#
#   system          takes from the base image what no service needs at run time
#   packages FILE   installs what a lock names, by its hashes; puts it into /layer
#   program         compiles what is in /layer
set -eu

# Files get no younger than this (https://reproducible-builds.org/specs/source-date-epoch/).
epoch=${SOURCE_DATE_EPOCH:?is not set: the seconds since 1970 of the newest file}
# The order of sets must not differ from run to run: it shows in the bytecode.
export PYTHONHASHSEED=0

# A container that is read-only can't keep what it compiles, and would compile at each start.
# Nobody edits the sources in an image, so the bytecode is taken without a look at them.
compile() {
  python -m compileall -q -f --invalidation-mode unchecked-hash "$@"
}

at_epoch() {
  find "$@" -exec touch --no-dereference --date "@$epoch" {} +
}

# A checkout's modes and times are whoever's made it.
settle_layer() {
  chmod -R u=rwX,go=rX /layer
  at_epoch /layer
}

system() {
  library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
  for package in pip setuptools wheel; do
    python -c "import $package; print($package.__path__[0])" 2>/dev/null || true
  done | while read -r folder; do rm -rf "$folder" "$folder"-*.dist-info; done
  for module in ensurepip idlelib lib2to3 test tkinter turtledemo; do rm -rf "${library:?}/$module"; done
  rm -f /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/pydoc* /usr/local/bin/python*-config /usr/bin/pip*
  compile "$library" || true # some of its files are templates, and no Python
  # The licences stay.
  find /usr/share/doc -type f ! -name copyright -delete
  rm -rf /usr/share/info/* /usr/share/locale/* /usr/share/man/* /var/lib/apt/lists/* /var/cache/* /var/log/*
  echo 'notecast:x:10001:10001::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
  echo 'notecast:x:10001:' >>/etc/group
  # What the engine mounts while it builds is not in the image.
  at_epoch / \( -path /dev -o -path /mnt -o -path /proc -o -path /sys \) -prune -o \
    ! -path /etc/hosts ! -path /etc/resolv.conf -newermt "@$epoch"
}

packages() {
  python -m venv --without-pip /opt/notecast
  pip --python /opt/notecast install --quiet --no-compile --no-cache-dir --require-hashes --only-binary :all: \
    --requirement "$1"
  find /opt/notecast/bin -type f -delete # scripts; the interpreter is a link
  find /opt/notecast/lib -depth -type d \( -name test -o -name tests -o -name testdata \) -exec rm -rf {} +
  find /opt/notecast/lib -type f -name '*.pyi' -delete
  compile /opt/notecast/lib
  mkdir -p /layer/opt
  mv /opt/notecast /layer/opt
  settle_layer
}

program() {
  # Tracebacks name the files where they will be.
  compile -s /layer -p / /layer
  settle_layer
}

"$@"
