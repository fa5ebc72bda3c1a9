package logline

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestSwitchAddsItsAttributes(t *testing.T) {
	var was, is bytes.Buffer
	before := slog.New(slog.NewTextHandler(&was, &slog.HandlerOptions{Level: slog.LevelDebug}))
	after := slog.New(slog.NewTextHandler(&is, &slog.HandlerOptions{Level: slog.LevelWarn}))
	switched := NewSwitch(before, slog.String("hub", "a"))
	logger := slog.New(switched)
	logger.Info("one")
	switched.Use(after)
	logger.Info("two")
	logger.Warn("three", "count", 3)
	for _, test := range []struct{ got, want string }{
		{was.String(), "level=INFO msg=one hub=a"},
		{is.String(), "level=WARN msg=three count=3 hub=a"},
	} {
		if strings.Count(test.got, "\n") != 1 || !strings.Contains(test.got, test.want) {
			t.Errorf("logged %q, want one line with %q", test.got, test.want)
		}
	}
}
