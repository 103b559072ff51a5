#!/usr/bin/env bash
# shellcheck disable=SC2016  # what stands in single quotes is for the shell of a hook
# PostgreSQL and Patroni, from Debian's packages; and once more with Patroni 4, which Debian has not.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

# Who PostgreSQL runs as is fixed before the packages come, which would otherwise take whatever number is free: volumes
# and security contexts name the number.
account='
  echo "postgres:x:999:" >>"$1/etc/group"
  echo "postgres:x:999:999::/var/lib/postgresql:/bin/bash" >>"$1/etc/passwd"
  echo "postgres:*:19000:0:99999:7:::" >>"$1/etc/shadow"
  mkdir -p "$1/etc/postgresql-common"
  echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"'

# The compiler of queries is a third of the image, and nothing in the lab is worth compiling.
lean='rm -rf "$1"/usr/lib/llvm* "$1"/usr/lib/*/libLLVM* "$1"/usr/lib/postgresql/*/lib/llvmjit* \
  "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*'

timeout 1200 mmdebstrap --mode=root --variant=minbase --quiet \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --include=postgresql-15,patroni,python3-psycopg2,procps \
  --essential-hook="$account" \
  --customize-hook="$lean" \
  --customize-hook="copy-in '$recipe/patroni-member' /usr/local/bin" \
  --customize-hook='chmod 755 "$1/usr/local/bin/patroni-member"' \
  bookworm "$directory/rootfs.tar"

# Where Debian's python looks before it looks for its own packages, so that the program of the package runs this one. What
# it needs besides is what the package needs too.
site=usr/local/lib/python3.11/dist-packages
python3 -m pip install --quiet --root-user-action=ignore --no-deps --no-compile --require-hashes --only-binary :all: \
  --requirement "$recipe/patroni-4.txt" --target "$directory/further/$site"
rm -r "${directory:?}/further/$site/bin"
tar -C "$directory/further" --owner=0 --group=0 --mode=u=rwX,go=rX -cf "$directory/further.tar" usr
rm -r "$directory/further"

begin_image "$directory/rootfs.tar" --config.entrypoint /usr/local/bin/patroni-member --config.user 999:999
further_image 4 "$directory/further.tar"
end_image patroni
