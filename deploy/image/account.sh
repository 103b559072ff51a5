#!/bin/sh
# Before the packages: whom firedrill runs as, and no database server of the package's own. PostgreSQL asks for its
# account by number, so it must have a name.
set -eu
echo "firedrill:x:65532:" >>/etc/group
echo "firedrill:x:65532:65532::/var/lib/firedrill:/usr/sbin/nologin" >>/etc/passwd
mkdir -p /etc/postgresql-common /etc/firedrill /var/lib/firedrill
echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
chown 65532:65532 /var/lib/firedrill
