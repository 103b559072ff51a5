// etcd, as its own command starts it. Debian's is too old for watches that tell of their progress, without which the API
// server serves lists and watches in another way than on any cluster of today.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
