# What each host of a slice does when it starts; cloud_tpu.sh writes WHEEL, MISTAKE and COMMAND above this. JAX detects
# the hosts. A command that was stopped, or that lost a process (exit code 1), is started again; a mistake (2) is told.
# shellcheck shell=bash
set -u
export HOME=/root
venv=/opt/catgen

if [[ ! -x $venv/bin/catgen ]]; then
  apt-get update -q && apt-get install -q -y python3-venv
  python3 -m venv "$venv"
  gcloud storage cp "$WHEEL" /tmp/
  "$venv/bin/pip" install -q "/tmp/$(basename "$WHEEL")[tpu,gcs]"
fi
PATH=$venv/bin:$PATH

while true; do
  "${COMMAND[@]}"
  code=$?
  [[ $code == 2 ]] && tail -n 20 /var/log/catgen.log | gcloud storage cp - "$MISTAKE"
  [[ $code == 0 || $code == 2 ]] && break
  sleep 30
done 2>&1 | tee -a /var/log/catgen.log
