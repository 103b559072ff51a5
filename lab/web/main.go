// A web server that is only there to be up or down: the storefront, the cart and the checkout of the lab.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		pod, _ := os.Hostname()
		// Who answers is told apart, so that a test can see which pod it was.
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "ok", "service": os.Getenv("SERVICE"), "pod": pod})
	}
	http.HandleFunc("GET /{$}", answer)
	http.HandleFunc("GET /healthz", answer)
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-stop.Done()
		// Requests that are under way are answered; new ones have gone elsewhere by then.
		patience, done := context.WithTimeout(context.Background(), 3*time.Second)
		defer done()
		_ = server.Shutdown(patience)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
