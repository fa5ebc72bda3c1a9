package admincli

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"stream:data":              "stream:data",
		"straße 日本 ✓":              "straße 日本 ✓",
		`say "hi"`:                 `say "hi"`,
		"\x1b[2Jgone":              `\x1b[2Jgone`,
		"a\nb\tc\r":                `a\nb\tc\r`,
		"\u202egpj.exe":            `\u202egpj.exe`,
		"\u009b31m":                `\u009b31m`,
		"\xff\xfe":                 `\xff\xfe`,
		"\x07\"bell\"":             `\a"bell"`,
		"a\u2028b":                 `a\u2028b`,
		"\x1b]0;title\x07 \"q\"\\": `\x1b]0;title\a "q"\\`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "-1", -1000: "-1,000", -100000: "-100,000"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1240: "1.2 kB", 9949: "9.9 kB", 9950: "10 kB", 14_200: "14 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		4_000_000: "4.0 MB", 2_500_000_000: "2.5 GB", 1 << 50: "1126 TB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) is %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 1999 * time.Millisecond: "1s", time.Minute: "1m00s", 252 * time.Second: "4m12s",
		time.Hour + 3*time.Minute + time.Second: "1h03m", 24 * time.Hour: "1d00h", 100*24*time.Hour + 5*time.Hour: "100d05h",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%s) is %s, want %s", d, got, want)
		}
	}
	if got := some(1, "socket", "sockets") + " " + some(1200, "socket", "sockets"); got != "1 socket 1,200 sockets" {
		t.Error(got)
	}
}

func TestTable(t *testing.T) {
	table := table{headings: []string{"NAME", " COUNT", "", "ROOMS"}}
	table.add("é", "1,000", "", "a, b")
	table.add("long name", "7", "slow", "")
	want := "" +
		"NAME       COUNT        ROOMS\n" +
		"é          1,000        a, b\n" +
		"long name      7  slow\n"
	if got := table.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := shorten("日本語テキスト", 4); got != "日本語…" {
		t.Error(got)
	}
}

func number(n int64) *int64 { return &n }

func TestRates(t *testing.T) {
	now := &adminapi.Counters{EventsIn: number(150), BytesIn: number(30_000)}
	for _, test := range []struct {
		name    string
		column  rateColumn
		before  *adminapi.Counters
		elapsed time.Duration
		want    string
	}{
		{"total", allRates[0], nil, 0, "150"},
		{"total of bytes", allRates[3], nil, 0, "30 kB"},
		{"the first screen", allRates[0], nil, time.Second, "-"},
		{"what is not counted", allRates[1], &adminapi.Counters{}, time.Second, "-"},
		{"what was not counted", allRates[0], &adminapi.Counters{}, time.Second, "-"},
		{"a hub made anew", allRates[0], &adminapi.Counters{EventsIn: number(151)}, time.Second, "-"},
		{"nothing", allRates[0], &adminapi.Counters{EventsIn: number(150)}, time.Second, "0/s"},
		{"little", allRates[0], &adminapi.Counters{EventsIn: number(145)}, 2 * time.Second, "2.5/s"},
		{"much", allRates[0], &adminapi.Counters{EventsIn: number(0)}, 2 * time.Second, "75/s"},
		{"bytes", allRates[3], &adminapi.Counters{BytesIn: number(0)}, 2 * time.Second, "15 kB/s"},
	} {
		if got := test.column.cell(now, test.before, test.elapsed); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if columns := rateColumns([]adminapi.Hub{{}, {Counters: *now}}); len(columns) != 2 || columns[0].heading != "EVENTS IN" || columns[1].heading != "BYTES IN" {
		t.Errorf("columns %v", columns)
	}
}

func TestLineText(t *testing.T) {
	seven, large := 7, 70_000
	at := time.Date(2030, 1, 2, 3, 4, 5, 6_000_000, time.Local)
	for want, line := range map[string]adminapi.Line{
		"03:04:05.006  in   /         chat                      7 B  from abc\n": {Direction: "in", Namespace: "/", Event: "chat", Bytes: &seven, Socket: "abc"},
		"03:04:05.006  out  /chat     \\x1b[2J                 70 kB  to abc\n    (a payload this large is not shown)\n": {
			Direction: "out", Namespace: "/chat", Event: "\x1b[2J", Bytes: &large, Socket: "abc", PayloadOmitted: true},
		"03:04:05.006  out  /         chat                      7 B  to everyone\n": {Direction: "out", Namespace: "/", Event: "chat", Bytes: &seven, Broadcast: true},
		"03:04:05.006  out  /         chat                      7 B  to rooms a, b\\n, c, 1 more but abc and room x\n    [{\"_placeholder\":true,\"num\":0}] 0=base64:AQI=\n": {
			Direction: "out", Namespace: "/", Event: "chat", Bytes: &seven, Broadcast: true, Socket: "abc", Rooms: []string{"a", "b\n", "c", "d"}, Except: []string{"x"},
			Args: []byte(`[{"_placeholder":true, "num":0}]`), Attachments: [][]byte{{1, 2}}},
	} {
		line.Time = at
		if got := lineText(&line); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	var e emit
	for _, bad := range []string{"", "hello", "{", "1 2", "'x'", `{"a":1}}`} {
		if got, err := e.arguments([]string{"1", bad}); err == nil || !strings.Contains(err.Error(), "--text") {
			t.Errorf("%q was taken as %s, %v", bad, got, err)
		}
	}
	if got, err := e.arguments([]string{`{"a": 1}`, `"x"`, "-1", "null"}); err != nil || string(got) != `[{"a":1},"x",-1,null]` {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := e.arguments(nil); err != nil || string(got) != `[]` {
		t.Errorf("none: %s, %v", got, err)
	}
	e.text = true
	if got, err := e.arguments([]string{`say "hi"`, ""}); err != nil || string(got) != `["say \"hi\"",""]` {
		t.Errorf("texts: %s, %v", got, err)
	}
}
