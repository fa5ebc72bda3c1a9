package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// serverFrame is a frame as servers send it.
func serverFrame(opcode byte, payload []byte) []byte {
	frame := []byte{0x80 | opcode}
	switch size := len(payload); {
	case size < 126:
		frame = append(frame, byte(size))
	case size <= 0xffff:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(size))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(size))
	}
	return append(frame, payload...)
}

func TestScannerFindsFramesHoweverTheyAreCut(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 200, 511, 512, 513, 65535, 65536, 3}
	var stream []byte
	for i, size := range sizes {
		stream = append(stream, serverFrame(opText, bytes.Repeat([]byte{byte('a' + i)}, size))...)
	}
	for range 200 {
		var s scanner
		found := 0
		for rest := stream; len(rest) > 0; {
			piece := rest[:1+rand.IntN(min(len(rest), 1+rand.IntN(3000)))]
			rest = rest[len(piece):]
			for len(piece) > 0 {
				f, taken, complete, err := s.scan(piece)
				if err != nil {
					t.Fatal(err)
				}
				piece = piece[taken:]
				if !complete {
					continue
				}
				want := bytes.Repeat([]byte{byte('a' + found)}, min(sizes[found], headLength))
				if f.size != sizes[found] || f.opcode != opText || !bytes.Equal(f.head, want) {
					t.Fatalf("frame %d: size %d, opcode %d, head of %d bytes", found, f.size, f.opcode, len(f.head))
				}
				found++
			}
		}
		if found != len(sizes) {
			t.Fatalf("%d frames of %d", found, len(sizes))
		}
	}
}

func TestScannerJoinsFragments(t *testing.T) {
	first, middle, last := serverFrame(opBinary, []byte("ab")), serverFrame(opContinuation, []byte("cd")), serverFrame(opContinuation, []byte("e"))
	first[0], middle[0] = opBinary, opContinuation
	var s scanner
	var found []frame
	for stream := slices.Concat(first, serverFrame(opPing, nil), middle, last); len(stream) > 0; {
		f, taken, complete, err := s.scan(stream)
		if err != nil {
			t.Fatal(err)
		}
		if stream = stream[taken:]; complete {
			found = append(found, f)
		}
	}
	if len(found) != 2 || found[0].opcode != opPing || found[1].opcode != opBinary || found[1].size != 5 || string(found[1].head) != "ab" {
		t.Errorf("found %+v", found)
	}
}

func TestScannerRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		bytes []byte
		want  error
	}{
		"compressed": {[]byte{0xc1, 0}, errReserved},
		"masked":     {[]byte{0x81, 0x80}, errMasked},
		"huge":       {[]byte{0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0}, errTooLarge},
	} {
		var s scanner
		if _, _, _, err := s.scan(test.bytes); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStampComesBack(t *testing.T) {
	for _, size := range []int{stampSize, 200, 70_000} {
		m := newMessage(size)
		for _, sent := range []time.Duration{0, 1, 1234567 * time.Microsecond, 20 * time.Hour} {
			frame := m.stamped(sent)
			text := append([]byte(nil), frame[m.payload:]...)
			for i := range text {
				text[i] ^= mask[i&3]
			}
			if argument := len(text) - len(`42["message",""]`); argument != size {
				t.Fatalf("the argument is %d bytes long, not %d", argument, size)
			}
			var reader stampReader
			if got, found := reader.read(text[:min(len(text), headLength)]); !found || got != sent {
				t.Errorf("%v became %v (%v)", sent, got, found)
			}
		}
	}
}

func TestBinaryStampComesBack(t *testing.T) {
	m := newBinaryMessage(65_536)
	attachment := append([]byte(nil), m.stamped(1234567)[m.payload:]...)
	for i := range attachment {
		attachment[i] ^= mask[i&3]
	}
	if len(attachment) != 65_536 {
		t.Fatalf("the attachment is %d bytes long", len(attachment))
	}
	var reader stampReader
	if got, found := reader.read(attachment[:headLength]); !found || got != 1234567 {
		t.Errorf("got %v (%v)", got, found)
	}
}

func TestStampReaderFollowsMovedMarks(t *testing.T) {
	var reader stampReader
	for _, text := range []string{`42["message","@0000000000000007xx"]`, `42/a,["message","@0000000000000007xx"]`} {
		if got, found := reader.read([]byte(text)); !found || got != 7 {
			t.Errorf("%s: %v, %v", text, got, found)
		}
	}
	for _, text := range []string{"", `"@`, `42["message","@00000000000000x7"]`, `40{"sid":"x"}`} {
		if _, found := reader.read([]byte(text)); found {
			t.Errorf("%s: found a stamp", text)
		}
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	frames := bytes.Repeat(serverFrame(opText, []byte(`42["message","@0000000000000007`+strings.Repeat("x", 183)+`"]`)), 8)
	var s scanner
	var stamps stampReader
	counts := new(histogram)
	allocations := testing.AllocsPerRun(100, func() {
		for piece := frames; len(piece) > 0; {
			f, taken, complete, err := s.scan(piece)
			if err != nil {
				t.Fatal(err)
			}
			piece = piece[taken:]
			if sent, found := stamps.read(f.head); complete && found {
				counts.add(sent)
			}
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestHistogram(t *testing.T) {
	var h, other histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	h.merge(&other)
	for share, want := range map[float64]float64{0.5: 500, 0.99: 990, 0: 1, 1: 1000} {
		if got := h.quantile(share); got < want*0.93 || got > want*1.07 {
			t.Errorf("quantile %v is %v, not about %v", share, got, want)
		}
	}
	h.add(24 * time.Hour)
	h.add(-time.Second)
	if got := (&histogram{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := range buckets - 1 {
		if got := bucket(time.Duration(lower(i)) * time.Microsecond); got != i {
			t.Fatalf("bucket %d begins in bucket %d", i, got)
		}
	}
}

func TestTargetsAreOnLoopback(t *testing.T) {
	for raw, want := range map[string]string{
		"https://localhost:8443/socket.io/": "127.0.0.1:8443",
		"http://127.0.0.5:80":               "127.0.0.5:80",
		"wss://[::1]:9/x/":                  "[::1]:9",
	} {
		target, err := ParseTarget(raw)
		if err != nil || target.Address != want {
			t.Errorf("%s: %+v, %v", raw, target, err)
		}
	}
	for _, raw := range []string{
		"", "localhost:80", "http://localhost/", "http://192.168.0.1:80/", "http://example.com:80/", "ftp://127.0.0.1:1/",
		"http://127.0.0.1.example.com:80/", "http://0.0.0.0:80/", "http://[::]:80/",
	} {
		if target, err := ParseTarget(raw); err == nil {
			t.Errorf("%s is accepted as %s", raw, target.Address)
		}
	}
}

func TestOptionsAreBounded(t *testing.T) {
	sound := Options{Receivers: 1, Payload: 200, Window: 1, Parallel: 1, Duration: time.Second}
	if err := sound.validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"receivers": func(o *Options) { o.Receivers = maxReceivers + 1 },
		"count":     func(o *Options) { o.Count = maxCount + 1 },
		"duration":  func(o *Options) { o.Duration = time.Hour },
		"payload":   func(o *Options) { o.Payload = stampSize - 1 },
		"parallel":  func(o *Options) { o.Parallel = 0 },
	} {
		options := sound
		change(&options)
		if err := options.validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
