package hub

import (
	"log/slog"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// eventLog logs the events that come from clients, where a config asks for it: their names, senders
// and sizes, and never what is in them.
type eventLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	tap    *streaming.Tap
}

// use begins to log, or ends.
func (l *eventLog) use(on bool, server *streaming.Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case on && l.tap == nil:
		tap, err := server.Tap(streaming.TapOptions{Incoming: true})
		if err != nil {
			l.logger.Error("events are not logged", "error", err)
			return
		}
		l.tap = tap
		go l.run(tap)
	case !on && l.tap != nil:
		l.tap.Close()
		l.tap = nil
	}
}

// run logs until the tap ends, and what waits then.
func (l *eventLog) run(tap *streaming.Tap) {
	for {
		select {
		case e := <-tap.Events():
			l.log(tap, e)
		case <-tap.Done():
			for len(tap.Events()) > 0 {
				l.log(tap, <-tap.Events())
			}
			l.lost(tap.Lost())
			return
		}
	}
}

func (l *eventLog) log(tap *streaming.Tap, e streaming.Traffic) {
	l.lost(e.Lost)
	l.logger.Info("event", "namespace", e.Namespace, "event", e.Event, "bytes", e.Bytes, "socket", e.Socket)
	tap.Taken(e)
}

func (l *eventLog) lost(count int64) {
	if count > 0 {
		l.logger.Warn("events not logged, as they came faster than the log takes them", "count", count)
	}
}
