# shellcheck shell=bash
# Processes of the lab: started with a record of who they are, and only signalled while they still are.

PIDS=$LAB_DIR/pids

# When a process began, in clock ticks since boot. A pid is given again to others; a pid with its beginning is not.
began() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name stands in parentheses and may hold anything, so fields are counted behind it.
  # shellcheck disable=SC2086  # into fields
  set -- ${stat##*) }
  # A zombie runs no more; only its parent has yet to hear of it.
  [ "$1" != Z ] || return 1
  echo "${20}"
}

boot() { cat /proc/sys/kernel/random/boot_id; }

# start NAME COMMAND…: runs it in a session of its own, with its log, and records pid, beginning and boot.
start() {
  local name=$1 pid
  shift
  mkdir -p "$PIDS" "$LOGS"
  # The lock is not for it: it would hold it as long as it runs.
  setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null 9<&- &
  pid=$!
  echo "$pid $(began "$pid" || true) $(boot)" >"$PIDS/$name"
}

# The pid of a part, if it still runs and is still the process that was started.
running() {
  local pid began_at boot_id
  read -r pid began_at boot_id 2>/dev/null <"$PIDS/$1" || return 1
  [ "$boot_id" = "$(boot)" ] && [ -n "$began_at" ] && [ "$(began "$pid")" = "$began_at" ] && echo "$pid"
}

started() { (cd "$PIDS" 2>/dev/null && ls); }

gone() { ! running "$1" >/dev/null; }

# stop NAME SECONDS: asks it to end, and after SECONDS insists. Forgets it once it is gone.
stop() {
  local name=$1 seconds=$2 pid deadline
  if pid=$(running "$name"); then
    kill -TERM "$pid" 2>/dev/null || true
    deadline=$(($(now_ms) + seconds * 1000))
    while ! gone "$name" && [ "$(now_ms)" -lt "$deadline" ]; do sleep 0.05; done
    if pid=$(running "$name"); then
      say "$name did not end within $seconds s of being asked to; killing it"
      kill -KILL "$pid" 2>/dev/null || true
      until_true 10 "$name ends after SIGKILL" "$LOGS/$name.log" gone "$name"
    fi
  fi
  rm -f "$PIDS/$name"
}

# still NAME: for what until_true calls in a shell of its own; a wait is hopeless once the part waited for has ended.
still() {
  running "$1" >/dev/null && return 0
  tail -n 2 "$LOGS/$1.log"
  echo "$1 has ended"
  exit "$HOPELESS"
}
