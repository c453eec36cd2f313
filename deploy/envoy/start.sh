#!/usr/bin/env bash
# Starts Envoy with the configuration beside this file. Arguments are Envoy's own.
#
#   NOTECAST_ALLOWED_ORIGINS   origins whose pages may call, separated by commas, as
#                              https://chat.example.com; empty: pages of this machine alone
set -euo pipefail

origin='^https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?$'
marker='# NOTECAST_ALLOWED_ORIGINS'

IFS=', ' read -r -a origins <<<"${NOTECAST_ALLOWED_ORIGINS:-}"
for one in "${origins[@]}"; do
  if ! [[ $one =~ $origin ]]; then
    echo "NOTECAST_ALLOWED_ORIGINS=$one is not allowed: it takes origins as browsers write them," \
      "https://host or https://host:port in lower case, separated by commas" >&2
    exit 2
  fi
done

configuration=''
while IFS= read -r line; do
  if [[ $line == *"$marker" && ${#origins[@]} -gt 0 ]]; then
    indent=${line%%-*}
    for one in "${origins[@]}"; do
      configuration+="$indent- exact: '$one'"$'\n'
    done
  else
    configuration+="$line"$'\n'
  fi
done <"$(dirname "${BASH_SOURCE[0]}")/envoy.yaml"

# Handed over as it is, because the container's own files can't be written.
exec envoy --config-yaml "$configuration" "$@"
