package load

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// deflated is a message in the form of RFC 7692 section 7.2.1.
func deflated(t testing.TB, content []byte, level int) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))
}

func gzipped(t testing.TB, content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// compressedFrame is a compressed message as servers send it.
func compressedFrame(t testing.TB, content []byte) []byte {
	f := serverFrame(opText, deflated(t, content, flate.BestSpeed))
	f[0] |= rsv1
	return f
}

func TestScannerKeepsCompressedFramesWhole(t *testing.T) {
	telemetry := unmasked(newTelemetry(60_000))
	contents := [][]byte{[]byte("2"), telemetry, []byte("plain"), telemetry[:4096], telemetry[:100]}
	var stream []byte
	for i, content := range contents {
		if i == 2 {
			stream = append(stream, serverFrame(opText, content)...)
			continue
		}
		stream = append(stream, compressedFrame(t, content)...)
	}
	known := newMemo(inflating())
	for range 100 {
		s := scanner{deflate: true}
		found, wire := 0, 0
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
				if f.compressed != (found != 2) {
					t.Fatalf("frame %d: compressed is %v", found, f.compressed)
				}
				if f.compressed {
					if f, err = known.inflate(f); err != nil {
						t.Fatal(err)
					}
				}
				want := contents[found]
				if f.compressed || f.size != len(want) || !bytes.Equal(f.head, want[:min(len(want), headLength)]) {
					t.Fatalf("frame %d: size %d, head %.60q", found, f.size, f.head)
				}
				found, wire = found+1, wire+f.wire
			}
		}
		if found != len(contents) || wire != len(stream) {
			t.Fatalf("%d frames of %d, %d bytes of %d", found, len(contents), wire, len(stream))
		}
	}
	if known.misses != 4 {
		t.Errorf("4 messages were inflated %d times", known.misses)
	}
}

func TestScannerRefusesCompressed(t *testing.T) {
	for name, test := range map[string]struct {
		bytes []byte
		want  error
	}{
		"other reserved bits": {[]byte{0xa1, 0}, errReserved},
		"all reserved bits":   {[]byte{0xf1, 0}, errReserved},
		"ping":                {[]byte{0xc9, 0}, errReserved},
		"close":               {[]byte{0xc8, 0}, errReserved},
		"continuation":        {[]byte{0xc0, 0}, errReserved},
		"unknown opcode":      {[]byte{0xc3, 0}, errReserved},
		"in pieces":           {[]byte{0x41, 0}, errPieces},
		"masked":              {[]byte{0xc1, 0x80}, errMasked},
		"large":               {[]byte{0xc1, 127, 0, 0, 0, 0, 0, 0x10, 0, 1}, errTooLarge},
		"huge":                {[]byte{0xc1, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, errTooLarge},
	} {
		s := scanner{deflate: true}
		if _, _, _, err := s.scan(test.bytes); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMemoRefuses(t *testing.T) {
	text := unmasked(newTelemetry(4096))
	deflate, gz := deflated(t, text, flate.BestSpeed), gzipped(t, text)
	broken := bytes.Clone(gz)
	broken[len(broken)-6] ^= 1
	bomb := make([]byte, maxPayload+1)
	for name, test := range map[string]struct {
		open       format
		compressed []byte
		want       error
	}{
		"deflate cut off":          {inflating(), deflate[:len(deflate)/2], nil},
		"deflate reserved block":   {inflating(), []byte{0xff, 0xff, 0xff}, nil},
		"deflate far distance":     {inflating(), []byte{0x4b, 0x04, 0x12, 0x00}, nil},
		"deflate bomb":             {inflating(), deflated(t, bomb, flate.BestSpeed), errInflates},
		"gzip empty":               {gunzipping(), nil, io.EOF},
		"gzip magic":               {gunzipping(), []byte(strings.Repeat("x", 64)), gzip.ErrHeader},
		"gzip cut off":             {gunzipping(), gz[:len(gz)-9], io.ErrUnexpectedEOF},
		"gzip checksum":            {gunzipping(), broken, gzip.ErrChecksum},
		"gzip with more behind it": {gunzipping(), slices.Concat(gz, []byte("and more")), nil},
		"gzip bomb":                {gunzipping(), gzipped(t, bomb), errInflates},
	} {
		known := newMemo(test.open)
		for range 2 {
			if content, err := known.content(test.compressed); err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s: %d bytes, %v", name, len(content), err)
			}
		}
		if known.misses != 0 {
			t.Errorf("%s: it is remembered", name)
		}
		// What is bad does not spoil what comes after it.
		good := deflate
		if strings.HasPrefix(name, "gzip") {
			good = gz
		}
		if content, err := known.content(good); err != nil || !bytes.Equal(content, text) {
			t.Errorf("after %s: %d bytes, %v", name, len(content), err)
		}
	}
}

func TestMemoInflatesOnceForAll(t *testing.T) {
	const messages, receivers = 3 * remembered, 8
	known := newMemo(inflating())
	compressed := make([][]byte, messages)
	for i := range compressed {
		compressed[i] = deflated(t, fmt.Appendf(nil, "message %d", i), flate.BestSpeed)
	}
	var group sync.WaitGroup
	for range receivers {
		group.Go(func() {
			for i := range remembered {
				if content, err := known.content(bytes.Clone(compressed[i])); err != nil || string(content) != fmt.Sprintf("message %d", i) {
					t.Errorf("message %d is %q, %v", i, content, err)
				}
			}
		})
	}
	group.Wait()
	if known.misses != remembered {
		t.Errorf("%d messages were inflated %d times", remembered, known.misses)
	}
	// More than are remembered push out the oldest, which is read anew.
	for _, i := range []int{remembered, messages - 1, 0} {
		if content, err := known.content(compressed[i]); err != nil || string(content) != fmt.Sprintf("message %d", i) {
			t.Errorf("message %d is %q, %v", i, content, err)
		}
	}
}

func TestReceivingCompressedAllocatesNothing(t *testing.T) {
	frames := bytes.Repeat(compressedFrame(t, unmasked(newTelemetry(4096))), 8)
	s := scanner{deflate: true}
	known := newMemo(inflating())
	var stamps stampReader
	receive := func() {
		for from := range 2 {
			for rest := frames; len(rest) > 0; {
				// The second time every frame comes in several reads.
				piece := rest[:min(len(rest), len(frames)-from*(len(frames)-100))]
				f, taken, complete, err := s.scan(piece)
				if err != nil {
					t.Fatal(err)
				}
				if rest = rest[taken:]; !complete {
					continue
				}
				if f, err = known.inflate(f); err != nil {
					t.Fatal(err)
				}
				if _, found := stamps.read(f.head); !found {
					t.Fatal("there is no stamp")
				}
			}
		}
	}
	if allocations := testing.AllocsPerRun(50, receive); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestAgreementIsChecked(t *testing.T) {
	const key = "Sec-WebSocket-Extensions: "
	for _, test := range []struct {
		header                string
		offered, agreed, fine bool
	}{
		{"", true, false, true},
		{"", false, false, true},
		{"X-Other: permessage-deflate", false, false, true},
		{key + deflateOffer, true, true, true},
		{"sec-websocket-extensions:permessage-deflate;server_no_context_takeover", true, true, true},
		{key + "permessage-deflate; server_no_context_takeover; server_max_window_bits=12", true, true, true},
		{key + deflateOffer, false, false, false},
		{key + "permessage-deflate", true, false, false},
		{key + "permessage-deflate; client_no_context_takeover", true, false, false},
		{key + "permessage-deflate; server_no_context_takeover; client_max_window_bits=9", true, false, false},
		{key + "permessage-deflate; server_no_context_takeover; more", true, false, false},
		{key + deflateOffer + ", x-other", true, false, false},
		{key + deflateOffer + "\r\n" + key + "x-other", true, false, false},
		{key + "x-other; server_no_context_takeover", true, false, false},
		{key, true, false, false},
	} {
		agreed, err := agreedToDeflate("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+test.header, test.offered)
		if agreed != test.agreed || (err == nil) != test.fine || err != nil && !errors.Is(err, errExtension) {
			t.Errorf("%q, offered: %v: %v, %v", test.header, test.offered, agreed, err)
		}
	}
}

// A server that compresses everything, its handshake's packets too, is understood.
func TestSocketReadsCompressedPackets(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	target, err := ParseTarget("http://127.0.0.1:1/")
	if err != nil {
		t.Fatal(err)
	}
	target = target.offeringCompression()
	openPacket, connected := compressedFrame(t, []byte(`0{"sid":"x"}`)), compressedFrame(t, []byte(`40{"sid":"y"}`))
	ping, telemetry := compressedFrame(t, []byte("2")), compressedFrame(t, unmasked(newTelemetry(4096)))
	served := make(chan error, 1)
	go func() {
		reader := bufio.NewReader(server)
		offered := false
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				served <- err
				return
			}
			if line = strings.TrimSpace(line); line == "" {
				break
			}
			offered = offered || line == "Sec-WebSocket-Extensions: "+deflateOffer
		}
		if !offered {
			served <- errors.New("compression was not offered")
			return
		}
		answer := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + upgradeAccept +
			"\r\nSec-WebSocket-Extensions: " + deflateOffer + "\r\n\r\n"
		_, err := server.Write(append([]byte(answer), openPacket...))
		if err == nil {
			_, err = io.ReadFull(reader, make([]byte, len(frameConnect)))
		}
		if err == nil {
			_, err = server.Write(slices.Concat(connected, ping))
		}
		if err == nil {
			_, err = io.ReadFull(reader, make([]byte, len(framePong)))
		}
		if err == nil {
			_, err = server.Write(slices.Concat(telemetry, []byte{0xc1, 1, 0xff}))
		}
		served <- err
	}()
	s := &Socket{conn: client, buffer: make([]byte, 1<<10), compression: target.compression}
	if err := s.handshake(target); err != nil {
		t.Fatal(err)
	}
	f, err := s.next()
	if err != nil || !bytes.HasPrefix(f.head, []byte(`42["message",{"at":"@`)) || len(f.head) != headLength || f.wire >= f.size/2 {
		t.Errorf("got %.60q of %d bytes, %d on the wire, %v", f.head, f.size, f.wire, err)
	}
	if _, err := s.next(); err == nil {
		t.Error("a frame that cannot be inflated is taken")
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestPollerReadsEncodedBodies(t *testing.T) {
	plain := "42" + strings.Repeat(`["message"]`, 200)
	gz := string(gzipped(t, []byte(plain)))
	for _, test := range []struct {
		name, encoding, body string
		accepts, fine        bool
	}{
		{"plain", "", plain, false, true},
		{"plain though gzip is accepted", "", plain, true, true},
		{"gzip", "gzip", gz, true, true},
		{"gzip that nobody accepts", "gzip", gz, false, false},
		{"another encoding", "br", gz, true, false},
		{"no gzip", "gzip", plain, true, false},
		{"gzip cut off", "gzip", gz[:len(gz)-1], true, false},
	} {
		target := new(Target)
		if test.accepts {
			target = target.offeringCompression()
		}
		header := ""
		if test.encoding != "" {
			header = "Content-Encoding: " + test.encoding + "\r\n"
		}
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", header, len(test.body), test.body)
		p := &poller{target: target, reader: bufio.NewReader(strings.NewReader(answer))}
		body, err := p.answer()
		if (err == nil) != test.fine || test.fine && (body != plain || p.size != len(test.body)) {
			t.Errorf("%s: %d bytes of %d, %v", test.name, len(body), p.size, err)
		}
		if accepts := bytes.Contains(p.request("GET", ""), []byte("\r\nAccept-Encoding: gzip\r\n")); accepts != test.accepts {
			t.Errorf("%s: the request accepts gzip: %v", test.name, accepts)
		}
	}
}

// FuzzCompressedStream reads anything: it ends with an error or with what the frames promise.
func FuzzCompressedStream(f *testing.F) {
	text := compressedFrame(f, unmasked(newTelemetry(4096)))
	f.Add(text, uint8(9))
	f.Add(text[:100], uint8(1))
	f.Add([]byte{0xc1, 3, 0xff, 0xff, 0xff}, uint8(2))
	f.Add(binary.BigEndian.AppendUint64([]byte{0xc1, 127}, 1<<63), uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		s := scanner{deflate: true}
		known := newMemo(inflating())
		for len(stream) > 0 {
			found, taken, complete, err := s.scan(stream[:min(len(stream), 1+int(cut))])
			if err != nil {
				return
			}
			if taken <= 0 {
				t.Fatal("it does not move on")
			}
			stream = stream[taken:]
			if !complete || !found.compressed {
				continue
			}
			if found, err = known.inflate(found); err == nil && (found.size > maxPayload || len(found.head) > headLength) {
				t.Fatalf("size %d, head of %d bytes", found.size, len(found.head))
			}
		}
	})
}
