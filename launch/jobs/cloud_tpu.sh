#!/bin/bash
# Keeps a Cloud TPU slice at work on a command until the run is finished: it asks for the slice as a queued resource,
# and again whenever that was preempted or has failed. A mistake that a host reports (exit code 2) gives the slice back
# and ends this script. It runs on any machine with gcloud and catgen.
#
#   launch/jobs/cloud_tpu.sh train v5litepod-16 gs://BUCKET/runs/text8 \
#     catgen train --config=accelerator/text8_diffusion --workdir=gs://BUCKET/runs/text8 --config.checkpoint.every=1000
#   launch/jobs/cloud_tpu.sh evaluate v5litepod-1 gs://BUCKET/runs/text8 \
#     catgen evaluate --watch --workdir=gs://BUCKET/runs/text8 --split=validation
#
# ZONE and RUNTIME are those of v5e; WHEEL is catgen as a file in a bucket (make wheel). The project is gcloud's.
set -euo pipefail

if [[ $# -lt 4 ]]; then
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=catgen-$1 kind=$2 workdir=$3 mistake=$3/mistake_$1.log
shift 3
zone=${ZONE:-us-west4-a}
runtime=${RUNTIME:-v2-alpha-tpuv5-lite}
here=$(cd "$(dirname "$0")" && pwd)
startup=$(mktemp)
problem=$(mktemp)
trap 'rm -f "$startup" "$problem"' EXIT
{
  echo '#!/bin/bash'
  printf 'WHEEL=%q\n' "${WHEEL:?give the wheel of catgen, gs://BUCKET/catgen-VERSION-py3-none-any.whl}"
  printf 'MISTAKE=%q\n' "$mistake"
  printf 'COMMAND=(%s)\n' "$(printf '%q ' "$@")"
  cat "$here/cloud_tpu_host.sh"
} >"$startup"

state() { # NONE where there is none, UNKNOWN where gcloud could not ask
  gcloud compute tpus queued-resources describe "$name" --zone="$zone" --format='value(state.state)' 2>"$problem" ||
    if grep -q NOT_FOUND "$problem"; then echo NONE; else echo UNKNOWN; fi
}

delete() {
  gcloud compute tpus queued-resources delete "$name" --zone="$zone" --force --quiet
}

gcloud storage rm "$mistake" 2>"$problem" || true # of an earlier start
while ! catgen ls --folder="$workdir" | grep -q '  finished  '; do # its state: a name may have the word too
  if gcloud storage cat "$mistake" 2>"$problem"; then
    echo "a host has reported the mistake above; the slice is given back" >&2
    delete
    exit 2
  fi
  case $(state) in
    NONE)
      gcloud compute tpus queued-resources create "$name" --node-id="$name" --zone="$zone" --spot \
        --accelerator-type="$kind" --runtime-version="$runtime" --metadata-from-file=startup-script="$startup"
      ;;
    SUSPENDED | FAILED) delete ;;
  esac
  sleep "${SECONDS_BETWEEN:-60}"
done
sleep "${SECONDS_AFTER:-600}" # what is evaluated last
[[ $(state) == NONE ]] || delete
