package logline

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// Switch is a slog.Handler that passes records to a logger which can be exchanged: what outlives a
// config outlives the logger that it was made with.
type Switch struct {
	logger atomic.Pointer[slog.Logger]
	// attrs are added to every record, whatever the logger.
	attrs []slog.Attr
}

// NewSwitch returns a Switch to logger, which adds attrs to every record, whatever the logger.
func NewSwitch(logger *slog.Logger, attrs ...slog.Attr) *Switch {
	s := &Switch{attrs: attrs}
	s.Use(logger)
	return s
}

// Use makes logger the one that records go to.
func (s *Switch) Use(logger *slog.Logger) { s.logger.Store(logger) }

// Current returns the logger that records go to.
func (s *Switch) Current() *slog.Logger { return s.logger.Load() }

// Enabled implements slog.Handler.
func (s *Switch) Enabled(ctx context.Context, level slog.Level) bool {
	return s.Current().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (s *Switch) Handle(ctx context.Context, record slog.Record) error {
	record = record.Clone()
	record.AddAttrs(s.attrs...)
	return s.Current().Handler().Handle(ctx, record)
}

// WithAttrs implements slog.Handler. What it returns stays with the logger of the moment.
func (s *Switch) WithAttrs(attrs []slog.Attr) slog.Handler {
	return s.Current().Handler().WithAttrs(s.attrs).WithAttrs(attrs)
}

// WithGroup implements slog.Handler. What it returns stays with the logger of the moment.
func (s *Switch) WithGroup(name string) slog.Handler {
	return s.Current().Handler().WithAttrs(s.attrs).WithGroup(name)
}
