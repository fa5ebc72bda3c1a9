package migrate

import "bytes"

// requestLength returns the length of the request, with its body, that head begins with. It returns
// false when that is not beyond doubt.
func requestLength(head []byte) (int64, bool) {
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 || head[0] < 'A' || head[0] > 'Z' || bytes.HasPrefix(head, []byte("CONNECT ")) {
		return 0, false
	}
	length, seen := int64(0), false
	line, rest, more := bytes.Cut(head[:end], []byte("\r\n"))
	for {
		// Whatever ends lines in another way is in doubt.
		if bytes.IndexByte(line, '\n') >= 0 {
			return 0, false
		}
		if !more {
			return int64(end) + int64(len("\r\n\r\n")) + length, true
		}
		line, rest, more = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		switch {
		case !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t':
			return 0, false
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return 0, false
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			if length, ok = decimal(bytes.Trim(value, " \t")); !ok || seen {
				return 0, false
			}
			seen = true
		}
	}
}

// decimal reads a number that is far from overflowing.
func decimal(digits []byte) (n int64, ok bool) {
	const maxDigits = 15
	if len(digits) == 0 || len(digits) > maxDigits {
		return 0, false
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = n*10 + int64(digit-'0')
	}
	return n, true
}
