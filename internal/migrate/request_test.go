package migrate

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

func TestRequestLength(t *testing.T) {
	for _, test := range []struct {
		head string
		want int64
		ok   bool
	}{
		{"GET / HTTP/1.1\r\n\r\n", 18, true},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore", 27, true},
		{"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", 51, true},
		{"POST / HTTP/1.1\r\ncontent-length:\t0 \r\nA: b\r\n\r\n", 45, true},
		{"", 0, false},
		{"\r\n\r\n", 0, false},
		{"GET / HTTP/1.1\r\n", 0, false},
		{"GET / HTTP/1.1\n\n", 0, false},
		{"GET / HTTP/1.1\nA: b\r\n\r\n", 0, false},
		{"\r\nGET / HTTP/1.1\r\n\r\n", 0, false},
		{"CONNECT a:1 HTTP/1.1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nContent-Length: 9999999999999999\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\ntransfer-encoding: identity\r\nContent-Length: 1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nA: b\r\n Content-Length: 1\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\nA\r\n\r\n", 0, false},
		{"POST / HTTP/1.1\r\n: b\r\n\r\n", 0, false},
	} {
		if got, ok := requestLength([]byte(test.head)); got != test.want || ok != test.ok {
			t.Errorf("%q: got %d, %v, want %d, %v", test.head, got, ok, test.want, test.ok)
		}
	}
}

// FuzzRequestLength holds that a length that is found is the one that net/http reads.
func FuzzRequestLength(f *testing.F) {
	for _, seed := range []string{get, post("hello"), post("hello") + get, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		length, ok := requestLength(sent)
		if !ok || length > 1<<20 {
			return
		}
		// The body, as far as it is missing, and a byte of the next request.
		sent = append(sent[:min(int64(len(sent)), length):len(sent)], make([]byte, max(0, length-int64(len(sent))))...)
		sent = append(sent, 'G')
		source := bytes.NewReader(sent)
		reader := bufio.NewReader(source)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			t.Fatalf("%q: the body cannot be read: %v", sent, err)
		}
		if left := source.Len() + reader.Buffered(); left != 1 {
			t.Errorf("%q: %d bytes are left, want 1", sent, left)
		}
	})
}

func BenchmarkRequestLength(b *testing.B) {
	head := []byte("POST /socket.io/?EIO=4&transport=polling&t=abc&sid=def HTTP/1.1\r\nHost: example.com\r\nUser-Agent: " + long(112) +
		"\r\nAccept: */*\r\nAccept-Language: en\r\nOrigin: https://example.com\r\nContent-Type: text/plain\r\nContent-Length: 42\r\nCookie: " +
		long(160) + "\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		requestLength(head)
	}
}
