#!/usr/bin/env bash
# shellcheck disable=SC2016  # what stands in single quotes is for the shell of a hook
# firedrill's image without firedrill itself, by the steps of deploy/Containerfile. The program is a layer of its own
# (../firedrill.sh), since it is made anew all the time.
# shellcheck source=../recipe.sh
. "$(dirname "$0")/../recipe.sh"

timeout 1200 mmdebstrap --mode=root --variant=minbase --quiet \
  --aptopt='APT::Install-Recommends "false"' \
  --include="$(paste -sd, "$recipe/packages.txt")" \
  --essential-hook="copy-in '$(realpath "$recipe/account.sh")' /tmp" \
  --essential-hook='chroot "$1" sh /tmp/account.sh' \
  --customize-hook="copy-in '$(realpath "$recipe/trim.sh")' /tmp" \
  --customize-hook='chroot "$1" sh /tmp/trim.sh' \
  --customize-hook='rm "$1"/tmp/*.sh' \
  bookworm "$directory/rootfs.tar"
image firedrill "$directory/rootfs.tar" --config.entrypoint firedrill --config.user 65532:65532 \
  --config.workingdir /etc/firedrill --config.env FIREDRILL_STATE=/var/lib/firedrill \
  --config.env PATH=/usr/local/bin:/usr/bin:/bin
