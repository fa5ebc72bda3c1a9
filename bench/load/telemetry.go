package load

import (
	"math/rand/v2"
	"strconv"
)

// newTelemetry prepares a `message` event whose argument is an object of at most size bytes, if
// that is enough for any: the stamp, and as many readings of sensors as fit. Names repeat and
// figures wander, as in what machines report, so that it compresses as such data does. The readings
// are the same in every run.
func newTelemetry(size int) *message {
	text := []byte(`42["message",`)
	argument := len(text)
	text = append(text, `{"at":`+stampMark...)
	digits := len(text)
	text = append(text, `0000000000000000","readings":[`...)
	source := rand.New(rand.NewPCG(1, 2))
	temperature, rpm, at := 61_400.0, 1480.0, 1_700_000_000_000
	for i := 0; ; i++ {
		temperature += source.NormFloat64() * 400
		rpm += source.NormFloat64() * 10
		at += 20 + source.IntN(200)
		before := len(text)
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"sensor":"`...)
		text = strconv.AppendInt(text, 0x100000+source.Int64N(0xf00000), 16)
		text = append(text, `","time":`...)
		text = strconv.AppendInt(text, int64(at), 10)
		text = append(text, `,"temperature":`...)
		text = appendDecimal(text, temperature, 1_000)
		text = append(text, `,"vibration":`...)
		text = appendDecimal(text, 100_000+source.Float64()*300_000, 1_000_000)
		text = append(text, `,"power":`...)
		text = appendDecimal(text, 10_000+source.Float64()*80_000, 100)
		text = append(text, `,"rpm":`...)
		text = strconv.AppendInt(text, int64(rpm), 10)
		text = append(text, `,"state":"`...)
		text = append(text, states[source.IntN(len(states))]...)
		text = append(text, `"}`...)
		if len(text)-argument+len(telemetryEnd) > size {
			text = text[:before]
			break
		}
	}
	text = append(append(text, telemetryEnd...), ']')
	frame := appendFrame(nil, opText, text)
	start := len(frame) - len(text)
	return &message{frame: frame, digits: start + digits, payload: start}
}

const telemetryEnd = "]}"

var states = []string{"running", "running", "running", "idle", "alarm"}

// appendDecimal writes whole parts of a unit in their shortest form: servers that read and write it
// anew leave it so.
func appendDecimal(text []byte, parts float64, unit int) []byte {
	return strconv.AppendFloat(text, float64(int(parts))/float64(unit), 'f', -1, 64)
}
