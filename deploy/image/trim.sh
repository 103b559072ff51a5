#!/bin/sh
# After the packages: what no restore needs. The compiler of queries alone is a third of the image.
set -eu
rm -rf /usr/lib/llvm* /usr/lib/*/libLLVM* /usr/lib/postgresql/*/lib/llvmjit* /usr/lib/postgresql/*/lib/bitcode \
  /usr/share/man /usr/share/doc /usr/share/locale /var/lib/apt/lists/* /var/cache/apt/* /var/lib/postgresql
