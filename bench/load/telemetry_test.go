package load

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"testing"
	"time"
)

// unmasked is the text of a prepared message.
func unmasked(m *message) []byte {
	text := bytes.Clone(m.frame[m.payload:])
	for i := range text {
		text[i] ^= mask[i&3]
	}
	return text
}

func TestTelemetryIsWholeAndCarriesItsStamp(t *testing.T) {
	for _, size := range []int{stampSize, 200, 4096, 70_000} {
		m := newTelemetry(size)
		m.stamped(1234567 * time.Nanosecond)
		text := unmasked(m)
		var event []json.RawMessage
		var argument struct {
			Readings []map[string]any `json:"readings"`
		}
		if err := json.Unmarshal(text[2:], &event); err != nil || len(event) != 2 {
			t.Fatalf("%d bytes: %v in %.80s", size, err, text)
		}
		if err := json.Unmarshal(event[1], &argument); err != nil {
			t.Fatal(err)
		}
		if n := len(argument.Readings); (n > 0) != (size >= 200) {
			t.Errorf("%d bytes hold %d readings", size, n)
		}
		if len(event[1]) > size && len(argument.Readings) > 0 {
			t.Errorf("the argument is %d bytes long, over %d", len(event[1]), size)
		}
		var reader stampReader
		if got, found := reader.read(text[:min(len(text), headLength)]); !found || got != 1234567 {
			t.Errorf("%d bytes: stamp %v (%v)", size, got, found)
		}
	}
}

// What compresses a hundredfold, or not at all, would say nothing about real data.
func TestTelemetryCompressesAsMachinesDataDoes(t *testing.T) {
	text := unmasked(newTelemetry(4096))
	for _, level := range []int{flate.BestSpeed, flate.DefaultCompression} {
		if ratio := float64(len(text)) / float64(len(deflated(t, text, level))); ratio < 3 || ratio > 5 {
			t.Errorf("level %d: it becomes %.1f times smaller", level, ratio)
		}
	}
}
