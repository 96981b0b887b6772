package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTime is how long an embedded server may take to recover its files.
const startTime = 30 * time.Second

// startServer runs nats-server inside this process: no listener, no signal
// handlers, nothing kept in memory, files under dir.
func startServer(config Config) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName:             "sallyport",
		DontListen:             true,
		NoSigs:                 true,
		NoLog:                  true,
		NoSystemAccount:        false,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               config.Dir,
		JetStreamMaxMemory:     1 << 20, // consumers keep their state here, streams are files
		JetStreamMaxStore:      config.MaxBytes + config.MaxBytes/4 + 16<<20,
		SyncAlways:             config.SyncAlways,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the embedded nats-server: %w", err)
	}
	s.SetLoggerV2(serverLog{config.Log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTime) || !s.JetStreamEnabled() {
		stopServer(s)
		return nil, fmt.Errorf("the embedded nats-server did not start on %s: see its messages in the log", config.Dir)
	}
	return s, nil
}

// stopServer ends an embedded server and waits until its files are written.
func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// lockFolder keeps a second process from running a server on the same folder,
// which nats-server itself does not prevent. The lock ends with the process.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the embedded NATS: %w", err)
	}
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the embedded NATS: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(fmt.Errorf("%w: another process holds %s", ErrLocked, path), file.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the folder of the embedded NATS: %w", err), file.Close())
	}
	return file, nil
}

// serverLog writes the server's messages into ours. What the server calls
// notices are details of its start.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) {
	l.log.Debug("nats: " + fmt.Sprintf(format, v...))
}

func (l serverLog) Warnf(format string, v ...any) { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }

func (l serverLog) Errorf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }

func (l serverLog) Fatalf(format string, v ...any) { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)          {}
func (l serverLog) Tracef(string, ...any)          {}
