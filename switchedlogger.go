package socketiostream

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// switchedLogger is a slog.Handler that passes records to a logger which can be exchanged: a hub outlives the config whose
// logger it was made with.
type switchedLogger struct {
	logger atomic.Pointer[slog.Logger]
	// attrs are added to every record, whatever the logger.
	attrs []slog.Attr
}

func newSwitchedLogger(logger *slog.Logger, attrs ...slog.Attr) *switchedLogger {
	s := &switchedLogger{attrs: attrs}
	s.use(logger)
	return s
}

// use makes logger the one that records go to.
func (s *switchedLogger) use(logger *slog.Logger) { s.logger.Store(logger) }

// current returns the logger that records go to.
func (s *switchedLogger) current() *slog.Logger { return s.logger.Load() }

// Enabled implements slog.Handler.
func (s *switchedLogger) Enabled(ctx context.Context, level slog.Level) bool {
	return s.current().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (s *switchedLogger) Handle(ctx context.Context, record slog.Record) error {
	record = record.Clone()
	record.AddAttrs(s.attrs...)
	return s.current().Handler().Handle(ctx, record)
}

// WithAttrs implements slog.Handler. What it returns stays with the logger of the moment.
func (s *switchedLogger) WithAttrs(attrs []slog.Attr) slog.Handler {
	return s.current().Handler().WithAttrs(s.attrs).WithAttrs(attrs)
}

// WithGroup implements slog.Handler. What it returns stays with the logger of the moment.
func (s *switchedLogger) WithGroup(name string) slog.Handler {
	return s.current().Handler().WithAttrs(s.attrs).WithGroup(name)
}
