# shellcheck shell=bash disable=SC2034  # what is set here is for up.sh
# Binaries and images, each made once (make.sh) and kept under the hash of what it is made from.

# cached NAME INPUT…: prints the directory of NAME, which is made first if its inputs, the way it is made, the tools or
# the kind of machine are new.
cached() {
  local name=$1 key made making began_ms
  shift
  key=$({ uname -m; go version; cat "$HERE/make.sh" "$@"; } | sha256sum | cut -c1-16)
  made=$CACHE_DIR/$name-$key
  if [ ! -d "$made" ]; then
    began_ms=$(now_ms)
    # On the same file system, so that the renaming at the end is all or nothing.
    making=$(mktemp -d "$CACHE_DIR/.making-$name.XXXXXX")
    say "making $name (log: $CACHE_DIR/$name.log)" >&2
    if ! bash "$HERE/make.sh" "$name" "$making" >"$CACHE_DIR/$name.log" 2>&1 </dev/null 8<&- 9<&-; then
      rm -rf "$making"
      tail -n 5 "$CACHE_DIR/$name.log" >&2
      die "$name could not be made; read $CACHE_DIR/$name.log"
    fi
    mv "$making" "$made"
    say "made $name in $((($(now_ms) - began_ms) / 1000)) s" >&2
    forget_old "$name"
  fi
  echo "$made"
}

# The one before stays, for whoever goes between two branches; older ones go.
forget_old() {
  find "$CACHE_DIR" -maxdepth 1 -type d -name "$1-????????????????" -printf '%T@ %p\n' |
    sort -rn | tail -n +3 | cut -d' ' -f2- | xargs -r rm -rf
}

# Sets KUBERNETES, VERSITYGW, PAUSE, WEB and PATRONI to the files, made if they have to be. The image of packages waits
# for downloads and the rest for the compiler, so they are made side by side.
make_everything() {
  local patroni answer
  mkdir -p "$CACHE_DIR"
  exec 8<"$CACHE_DIR"
  flock -w 1800 8 || die "another lab-up has been filling $CACHE_DIR for half an hour; end it, or set FIREDRILL_LAB_CACHE"
  answer=$(mktemp "$CACHE_DIR/.patroni.XXXXXX")
  cached patroni "$HERE"/image/* >"$answer" &
  patroni=$!
  # Whatever fails here, the package manager beside it is let finish first: half of its work is of no use to anybody.
  trap 'wait '"$patroni"' || true; rm -f '"'$answer'" EXIT
  KUBERNETES=$(cached kubernetes "$HERE"/kubernetes/*)/kubernetes
  VERSITYGW=$(cached versitygw "$HERE"/s3/*)/versitygw
  PAUSE=$(cached pause "$HERE"/pause/*)/pause.tar
  WEB=$(cached web "$HERE"/web/*)/web.tar
  wait "$patroni"
  PATRONI=$(cat "$answer")/patroni.tar
  rm -f "$answer"
  trap - EXIT
  exec 8<&-
}
