package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// softMemory is where Go's collector begins to work harder, bytes. Without it
// the heap may grow to twice what is in use before a collection.
const softMemory = 192 << 20

func serveCommand(ctx context.Context, call call) error {
	began := time.Now()
	config, err := call.config()
	if err != nil {
		return err
	}
	if call.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	log := newLogger(config, call.IO)
	if call.Environ != nil {
		for _, problem := range strangers(call.Environ()) {
			log.Warn(problem)
		}
	}
	server, err := Open(ctx, config, log)
	if err != nil {
		return err
	}
	printBanner(call.IO, server)
	log.Info("ready", "url", server.URL(), "listen", server.listener.Addr().String(),
		"version", Version(), "took", time.Since(began).Round(time.Millisecond).String())
	err = errors.Join(server.Run(ctx), server.Close())
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// printBanner says where the server is. The first start also says what a
// newcomer needs. Secrets are shown to people only; the link for the first
// operator is also for scripts, which read it here, and works once.
func printBanner(io IO, s *Server) {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "    %-16s%s\n", name, value) }
	fmt.Fprintf(&b, "\n  Sallyport %s is ready.\n\n", Version())
	line("Server", s.URL())
	if s.invite.URL == "" {
		line("Console", s.URL()+"/console")
	} else {
		line("Console", s.invite.URL)
		line("", "registers the first administrator, once, until "+s.invite.Expires.Local().Format("2 January 15:04"))
	}
	line("Data", s.config.Data)
	secret := "$(sallyport secret show)"
	switch {
	case s.secrets.NewServer != "" && io.OutTerminal:
		secret = s.secrets.NewServer.Reveal()
		line("Server secret", secret)
	case s.secrets.NewServer != "":
		line("Server secret", "`sallyport secret show` prints it")
	}
	switch {
	case s.secrets.NewManagement != "" && io.OutTerminal:
		line("Management", s.secrets.NewManagement.Reveal())
		line("", "publishes rules and invites operators; shown only now")
	case s.secrets.NewManagement != "":
		line("Management", "`sallyport secret renew-management` makes and prints a secret")
	}
	if s.secrets.NewServer != "" {
		fmt.Fprintf(&b, "\n  Track an action:\n\n    curl -u %s: -H 'Content-Type: application/json' \\\n"+
			"      -d '{\"custom\":{\"amount\":25,\"currency\":\"EUR\",\"payee\":\"Maria\"}}' \\\n"+
			"      %s/v1/users/jane/actions/payment\n", secret, s.URL())
	}
	fmt.Fprintln(io.Out, b.String())
}

// makeFolder makes the data folder for its owner alone.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make the data folder (SALLYPORT_DATA): %w", err)
	}
	return nil
}

// listenError says what to do when the address is not to be had.
func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program: stop it, or choose another address with SALLYPORT_LISTEN", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s may not be opened by this user: choose a port above 1023 with SALLYPORT_LISTEN", address)
	}
	return fmt.Errorf("listen on %s (SALLYPORT_LISTEN): %w", address, err)
}
