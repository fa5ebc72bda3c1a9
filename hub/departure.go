package hub

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/exp/zapslog"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// farewellGrace is how long, after the last client's turn has come, is waited for clients to hear
// of the end, and for handlers to come to theirs.
const farewellGrace = time.Second

func init() {
	// A hub that a reload has removed may still be at it when the process ends. It is done within
	// its own time.
	caddy.OnExit(func(context.Context) { departures.wait() })
}

// departure is a hub's end: its clients are closed in turns, in the background.
type departure struct {
	once sync.Once
	// gone is closed at the end of it.
	gone chan struct{}
}

// departures are the hubs that are closing their connections right now.
var departures departureList

type departureList struct {
	mu   sync.Mutex
	hubs map[*hub]struct{}
}

func (l *departureList) add(h *hub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hubs == nil {
		l.hubs = make(map[*hub]struct{})
	}
	l.hubs[h] = struct{}{}
}

// find returns one of that name, or nil.
func (l *departureList) find(name string) *hub {
	l.mu.Lock()
	defer l.mu.Unlock()
	for hub := range l.hubs {
		if hub.name == name {
			return hub
		}
	}
	return nil
}

func (l *departureList) remove(h *hub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.hubs, h)
}

// wait waits until all of them are gone, each of which has a bound.
func (l *departureList) wait() {
	l.mu.Lock()
	var waited []*hub
	for hub := range l.hubs {
		waited = append(waited, hub)
	}
	l.mu.Unlock()
	for _, hub := range waited {
		<-hub.departure.gone
	}
}

// depart ends the hub after a delay: new clients are refused, and those there are lose their
// connections in turns. It does not wait; hub.departure.gone is closed in the end, at most delay,
// the drain's time and farewellGrace later. Only the first call counts.
func (hub *hub) depart(delay time.Duration, farewell engineio.Farewell) {
	hub.departure.once.Do(func() {
		departures.add(hub)
		go func() {
			defer close(hub.departure.gone)
			defer departures.remove(hub)
			defer func() {
				if r := recover(); r != nil {
					hub.logger.Current().Error("panic while closing a hub", "hub", hub.name, "panic", r, "stack", string(debug.Stack()))
				}
			}()
			if delay > 0 {
				time.Sleep(delay)
			}
			hub.close(farewell)
		}()
	})
}

// isLeaving reports whether the hub is on its way out.
func (hub *hub) isLeaving() bool {
	departures.mu.Lock()
	defer departures.mu.Unlock()
	_, leaving := departures.hubs[hub]
	return leaving
}

func (hub *hub) close(farewell engineio.Farewell) {
	defer hub.hide()
	defer hub.refusals.flush()
	if farewell.Reason == engineio.ReasonHubRemoved {
		hub.snapshots.forget()
	}
	begun, clients := time.Now(), hub.server.Connections()
	ctx, cancel := context.WithTimeout(context.Background(), farewell.Time(clients)+farewellGrace)
	defer cancel()
	err := hub.server.ShutdownAndKeep(ctx, farewell, hub.snapshots.keeper(farewell.Reason))
	if !hub.wasShown.Load() && clients == 0 {
		// Its config has failed: there never was such a hub.
		return
	}
	logger, took := hub.logger.Current(), time.Since(begun).Round(time.Millisecond)
	if err != nil {
		logger.Warn("hub closed before all clients and handlers were through", "hub", hub.name,
			"reason", string(farewell.Reason), "clients", clients, "took", took.String(), "error", err.Error())
		return
	}
	logger.Info("hub closed", "hub", hub.name, "reason", string(farewell.Reason), "clients", clients, "took", took.String())
}

// drainTime is how long the hub may take to close its connections: what its option says, and not
// more than the config's grace_period.
func (hub *hub) drainTime() time.Duration {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if hub.grace > 0 {
		return min(hub.drain, hub.grace)
	}
	return hub.drain
}

// leaveAll ends all hubs, since the process is going down, and returns when it is time for Caddy to
// stop its servers: a client on long-polling can be told only as long as they answer.
//
// shutdown_delay is honoured: until it is over nothing changes but the answer of the health paths.
// Caddy sleeps that time itself, but only after this. So when there is one, this function waits as
// long as the hubs will need, they begin when the delay is over, and are through at the end of
// Caddy's sleep.
func leaveAll(delay time.Duration) {
	leaving := shownHubs()
	var longest time.Duration
	for _, hub := range leaving {
		farewell := engineio.Farewell{Over: hub.drainTime(), Served: true, Reason: engineio.ReasonShutdown}
		longest = max(longest, farewell.Time(hub.server.Connections()))
		hub.depart(delay, farewell)
	}
	if delay > 0 {
		time.Sleep(longest)
		return
	}
	for _, hub := range leaving {
		<-hub.departure.gone
	}
}

// handler is the module that the hub logs as.
type handler struct{}

// CaddyModule returns the Caddy module information.
func (handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.socketio_stream"}
}

// activeLogger returns the handlers' logger of the config that runs now. A hub that is on its way
// out outlives the logs of the config that it was in.
func activeLogger() *slog.Logger {
	core := caddy.ActiveContext().Logger(handler{}).Core()
	return slog.New(zapslog.NewHandler(core, zapslog.WithName(string(handler{}.CaddyModule().ID))))
}

// shutdownTimes returns shutdown_delay and grace_period of the config.
func shutdownTimes(ctx caddy.Context) (delay, grace time.Duration) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return 0, 0
	}
	server, ok := app.(*caddyhttp.App)
	if !ok {
		return 0, 0
	}
	return time.Duration(server.ShutdownDelay), time.Duration(server.GracePeriod)
}
