#!/bin/sh
# A one-node Slurm on loopback, without root and with all its state in DIR; as Debian's slurm-wlm and munge have it.
#   cluster.sh start DIR [CPUS [MEMORY_MB]]   then: export PATH=DIR/bin:$PATH
#   cluster.sh stop DIR
#   cluster.sh node DIR [HIDDEN]              starts slurmd alone, after it was killed; as root, one that does not see a folder
set -eu
action=$1 dir=$(realpath -m "$2")
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF="$dir/slurm.conf"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

until_true() {
  for _ in $(seq 150); do
    "$@" 2>/dev/null && return
    sleep 0.2
  done
  echo "cluster.sh: '$*' fails for 30 s; see $dir/*.log" >&2
  return 1
}
idle() { sinfo --noheader --format=%t | grep -q idle; }
# Processes of jobs, even of those that a killed slurmd forgot: they know a job and have this cluster's commands.
left_over() {
  for environment in /proc/[0-9]*/environ; do
    variables=$(tr '\0' '\n' <"$environment") || continue
    case $variables in *SLURM_JOB_ID=*) ;; *) continue ;; esac
    case $variables in *"$dir/bin"*) pid=${environment%/environ} && echo "${pid#/proc/}" ;; esac
  done 2>/dev/null
}
no_jobs() { [ -z "$("$dir/bin/squeue" --noheader)" ]; }

case $action in
start)
  mkdir -p "$dir/state" "$dir/spool"
  chmod 755 "$dir"
  host=$(hostname -s)
  sed -e "s|@HOST@|$host|g" -e "s|@USER@|$(id -un)|g" -e "s|@DIR@|$dir|g" -e "s|@CPUS@|${3:-2}|g" \
    -e "s|@MEMORY@|${4:-6000}|g" -e "s|@PORT@|$(free_port)|g" -e "s|@NODE_PORT@|$(free_port)|g" \
    "$here/slurm.conf.in" >"$dir/slurm.conf"
  echo "Name=gpu File=/dev/null" >"$dir/gres.conf"
  (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
  munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
  # The plugin takes SLURM_CONF away from the steps of its jobs.
  mkdir -p "$dir/bin"
  for command in sbatch srun squeue sacct scancel scontrol sinfo; do
    printf '#!/bin/sh\nSLURM_CONF=%s exec /usr/bin/%s "$@"\n' "'$SLURM_CONF'" "$command" >"$dir/bin/$command"
    chmod +x "$dir/bin/$command"
  done
  slurmctld -c
  slurmd
  until_true idle
  ;;
node)
  if [ -n "${3:-}" ]; then
    unshare --mount sh -c 'mount -t tmpfs none "$1" && exec slurmd' sh "$3"
  else
    slurmd
  fi
  until_true idle
  ;;
stop)
  if "$dir/bin/scancel" --user="$(id -un)" 2>/dev/null; then
    until_true no_jobs || true
  fi
  for daemon in slurmd slurmctld munged; do
    [ -f "$dir/$daemon.pid" ] || continue
    pid=$(cat "$dir/$daemon.pid")
    kill "$pid" 2>/dev/null || continue
    until_true sh -c "! kill -0 $pid 2>/dev/null"
  done
  for pid in $(left_over); do
    [ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null || true
  done
  ;;
*)
  echo "usage: cluster.sh start|node|stop DIR [...]" >&2
  exit 2
  ;;
esac
