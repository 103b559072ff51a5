# shellcheck shell=bash disable=SC2034  # what is set here is for up.sh
# Binaries and images, each made once by the recipe in the directory of its name, and kept under the hash of what it is
# made from.

# cached NAME: prints the directory of NAME, which is made first if its inputs, its recipe, the tool chain or the kind of
# machine are new.
cached() {
  local name=$1 key made making began_ms
  key=$({ uname -m; go version; cat "$HERE/recipe.sh" "$HERE/$name"/*; } | sha256sum | cut -c1-16)
  made=$CACHE_DIR/$name-$key
  if [ ! -d "$made" ]; then
    began_ms=$(now_ms)
    # On the same file system, so that the renaming at the end is all or nothing.
    making=$(mktemp -d "$CACHE_DIR/.making-$name.XXXXXX")
    say "making $name (log: $CACHE_DIR/$name.log)" >&2
    # It inherits the cache's lock: what an interrupted one has still running holds it until it has ended too.
    if ! bash "$HERE/$name/make.sh" "$making" >"$CACHE_DIR/$name.log" 2>&1 </dev/null 9<&-; then
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

# One at a time, and what an interrupted one left goes first.
lock_cache() {
  mkdir -p "$CACHE_DIR"
  exec 8<"$CACHE_DIR"
  flock -w 1800 8 || die "another lab-up has been filling $CACHE_DIR for half an hour; end it, or set FIREDRILL_LAB_CACHE"
  rm -rf "$CACHE_DIR"/.making-* "$CACHE_DIR"/.answer.* "$CACHE_DIR"/.image.*
}

# Sets KUBERNETES, ETCD, VERSITYGW, PAUSE, WEB, DNS and PATRONI to the files, made if they have to be. The image of packages
# waits for downloads and the rest for the compiler, so they are made side by side. ASIDE is the pid of the one beside:
# whatever fails here, that is let finish first, since half a package manager's work is of no use to anybody.
make_everything() {
  local answer
  lock_cache
  answer=$(mktemp "$CACHE_DIR/.answer.XXXXXX")
  cached patroni >"$answer" &
  ASIDE=$!
  KUBERNETES=$(cached kubernetes)/kubernetes
  ETCD=$(cached etcd)/etcd
  DNS=$(cached dns)/dns.tar
  VERSITYGW=$(cached versitygw)/versitygw
  PAUSE=$(cached pause)/pause.tar
  WEB=$(cached web)/web.tar
  wait "$ASIDE"
  ASIDE=
  PATRONI=$(cat "$answer")/patroni.tar
  rm "$answer"
  exec 8<&-
}
