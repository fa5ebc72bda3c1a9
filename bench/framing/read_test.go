package framing

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"github.com/lxzan/gws"
)

// BenchmarkRead reads masked text frames of 40 bytes, many of which are there at once.
func BenchmarkRead(b *testing.B) {
	b.Run("gobwas-header-in-place", readGobwasInPlace)
	b.Run("gobwas-ReadHeader", readGobwas)
	b.Run("gws", readGWS)
	b.Run("coder", readCoder)
}

func check(b *testing.B, seen int) {
	b.StopTimer()
	if seen != b.N {
		b.Fatalf("%d of %d frames were read", seen, b.N)
	}
}

// readGobwasInPlace takes the header from the read buffer by itself, into the library's type, and
// has the payload unmasked where it lies.
func readGobwasInPlace(b *testing.B) {
	b.ReportAllocs()
	conn := newSource(b)
	buffer := make([]byte, 4<<10)
	begin, end, seen := 0, 0, 0
	require := func(n int) bool {
		for end-begin < n {
			end = copy(buffer, buffer[begin:end])
			begin = 0
			read, err := conn.Read(buffer[end:])
			if err != nil {
				return false
			}
			end += read
		}
		return true
	}
	for b.ResetTimer(); require(6); seen++ {
		first, second := buffer[begin], buffer[begin+1]
		header := ws.Header{
			Fin:    first&0x80 != 0,
			OpCode: ws.OpCode(first & 0xf),
			Masked: second&0x80 != 0,
			Length: int64(second & 0x7f),
		}
		binary.BigEndian.PutUint32(header.Mask[:], binary.BigEndian.Uint32(buffer[begin+2:]))
		if err := ws.CheckHeader(header, ws.StateServerSide); err != nil || header.Length != smallPayload {
			b.Fatal(err, header)
		}
		begin += 6
		if !require(smallPayload) {
			b.Fatal("a frame ends early")
		}
		ws.Cipher(buffer[begin:begin+smallPayload], header.Mask, 0)
		begin += smallPayload
	}
	check(b, seen)
}

// readGobwas uses the library's own reader of headers.
func readGobwas(b *testing.B) {
	b.ReportAllocs()
	reader := bufio.NewReader(newSource(b))
	message := make([]byte, smallPayload)
	seen := 0
	for b.ResetTimer(); ; seen++ {
		header, err := ws.ReadHeader(reader)
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(reader, message[:header.Length]); err != nil {
			b.Fatal(err)
		}
		ws.Cipher(message, header.Mask, 0)
	}
	check(b, seen)
}

type gwsCounter struct {
	gws.BuiltinEventHandler
	seen int
}

func (c *gwsCounter) OnMessage(_ *gws.Conn, message *gws.Message) {
	c.seen++
	_ = message.Close()
}

func readGWS(b *testing.B) {
	b.ReportAllocs()
	counter := new(gwsCounter)
	socket, err := gws.NewUpgrader(counter, nil).Upgrade(newHijackable(newSource(b)), upgradeRequest())
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	socket.ReadLoop()
	check(b, counter.seen)
}

func readCoder(b *testing.B) {
	b.ReportAllocs()
	socket := acceptCoder(b, newSource(b))
	message := make([]byte, smallPayload)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen := 0
	for b.ResetTimer(); ; seen++ {
		_, reader, err := socket.Reader(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(reader, message); err != nil {
			b.Fatal(err)
		}
		// The library tells a message's end only to one who reads on.
		if n, err := reader.Read(message); n != 0 || err != io.EOF {
			b.Fatal(n, err)
		}
	}
	check(b, seen)
}
