// CoreDNS with the plugins that a cluster needs; the other fifty would only be compiled. Not the cache: names change
// during a drill, and whoever asks should not go by what they were.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// The order in which a query passes them.
	dnsserver.Directives = []string{"errors", "ready", "kubernetes"}
	coremain.Run()
}
