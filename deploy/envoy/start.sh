#!/usr/bin/env bash
# Starts Envoy with the configuration beside this file. Arguments are Envoy's own.
#
#   NOTECAST_ALLOWED_ORIGINS          origins whose pages may call, separated by commas, as
#                                     https://chat.example.com; empty: pages of this machine alone
#   NOTECAST_ALLOWED_HOSTS            host names that clients may ask for, separated by commas, as
#                                     chat.example.com or *.example.com; this machine's own are always
#                                     allowed. Empty: any name, or this machine's alone where
#                                     NOTECAST_PORT says that only this machine gets here
#   NOTECAST_PORT                     the port that is published, with the address before it if it has one
#   NOTECAST_TRUSTED_HOPS             1; the proxies on a client's way, this one included
#   NOTECAST_STREAMS_PER_CONNECTION   250; calls that one connection may have open at a time
set -euo pipefail

refuse() {
  echo "$1 is not allowed: it takes $2" >&2
  exit 2
}

number() { # NAME VALUE LOWEST HIGHEST
  if ! [[ $2 =~ ^[0-9]{1,9}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
    refuse "$1=$2" "a whole number, at least $3, at most $4"
  fi
}

origin='^https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?$'
host='^((\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]|\*)$'
own=(localhost 127.0.0.1 '[::1]')

IFS=', ' read -r -a origins <<<"${NOTECAST_ALLOWED_ORIGINS:-}"
for one in "${origins[@]}"; do
  [[ $one =~ $origin ]] || refuse "NOTECAST_ALLOWED_ORIGINS=$one" \
    "origins as browsers write them, https://host or https://host:port in lower case, separated by commas"
done
IFS=', ' read -r -a hosts <<<"${NOTECAST_ALLOWED_HOSTS:-}"
for one in "${hosts[@]}"; do
  [[ $one =~ $host ]] || refuse "NOTECAST_ALLOWED_HOSTS=$one" \
    "host names without a port, as chat.example.com or *.example.com in lower case, separated by commas"
done
hops=${NOTECAST_TRUSTED_HOPS:-1}
number NOTECAST_TRUSTED_HOPS "$hops" 1 16
streams=${NOTECAST_STREAMS_PER_CONNECTION:-250}
number NOTECAST_STREAMS_PER_CONNECTION "$streams" 1 1000

if [[ ${#hosts[@]} -eq 0 && ${NOTECAST_PORT:-} =~ ^(127\.|localhost:|\[::1\]:) ]]; then
  hosts=("${own[@]}")
elif [[ " ${hosts[*]} " == *' * '* ]]; then
  hosts=()
elif [[ ${#hosts[@]} -gt 0 ]]; then
  hosts=("${own[@]}" "${hosts[@]}")
fi

folder=$(dirname "${BASH_SOURCE[0]}")
configuration=''
while IFS= read -r line; do
  indent=${line%%[! ]*}
  case $line in
    *'# NOTECAST_ALLOWED_ORIGINS')
      for one in "${origins[@]}"; do
        configuration+="$indent- exact: '$one'"$'\n'
      done
      [[ ${#origins[@]} -eq 0 ]] || continue
      ;;
    *'# NOTECAST_ALLOWED_HOSTS')
      # A name that is given twice, Envoy refuses.
      declare -A named=()
      for one in "${hosts[@]}"; do
        [[ ${named[$one]:-} ]] || configuration+="$indent- '$one'"$'\n'
        named[$one]=1
      done
      [[ ${#hosts[@]} -eq 0 ]] || continue
      ;;
    *'# NOTECAST_TRUSTED_HOPS') line="${line%%:*}: $((10#$hops - 1))" ;;
    *'# NOTECAST_STREAMS_PER_CONNECTION') line="${line%%:*}: $((10#$streams))" ;;
    *'# beside start.sh') line="${line%%:*}: $folder/access_log_limit.yaml" ;;
    *'"%CONNECTION_ID%"'*)
      # Several proxies: the connection is another proxy's, and not a client's.
      ((10#$hops == 1)) || line=${line/'%CONNECTION_ID%'/}
      ;;
  esac
  configuration+="$line"$'\n'
done <"$folder/envoy.yaml"

# Handed over as it is, because the container's own files can't be written.
exec envoy --config-yaml "$configuration" "$@"
