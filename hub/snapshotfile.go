package hub

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// snapshotFile is a snapshot as it is stored: four letters, the version of the form, a checksum of what
// follows, and the value in Go's own encoding.
type snapshotFile struct {
	// Hub is the hub's name, Host and PID are the process that has taken the snapshot.
	Hub, Host string
	PID       int
	Snapshot  *streaming.Snapshot
}

const (
	snapshotLetters = "SIOR"
	// snapshotVersion is another one whenever the form of snapshots changes.
	snapshotVersion = 1
	snapshotHeader  = len(snapshotLetters) + 1 + 4
	// maxSnapshot is how long a snapshot may be, in bytes.
	maxSnapshot = 1 << 30
)

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The errors of snapshots that are not used.
var (
	errSnapshotDamaged = errors.New("it is damaged")
	errSnapshotLarge   = errors.New("it is too large")
)

// encode returns the file. The error is errSnapshotLarge.
func (f *snapshotFile) encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(snapshotLetters)
	b.WriteByte(snapshotVersion)
	b.Write(make([]byte, 4))
	if err := gob.NewEncoder(&b).Encode(f); err != nil {
		return nil, err
	}
	data := b.Bytes()
	if len(data) > maxSnapshot {
		return nil, errSnapshotLarge
	}
	binary.BigEndian.PutUint32(data[snapshotHeader-4:], crc32.Checksum(data[snapshotHeader:], castagnoli))
	return data, nil
}

// decodeSnapshot reads what encode has made. The error says why it cannot be used.
func decodeSnapshot(data []byte) (*snapshotFile, error) {
	switch {
	case len(data) > maxSnapshot:
		return nil, errSnapshotLarge
	case len(data) < snapshotHeader || string(data[:len(snapshotLetters)]) != snapshotLetters:
		return nil, errSnapshotDamaged
	case data[len(snapshotLetters)] != snapshotVersion:
		return nil, fmt.Errorf("it has version %d of the form, and this is a program for version %d", data[len(snapshotLetters)], snapshotVersion)
	case binary.BigEndian.Uint32(data[snapshotHeader-4:]) != crc32.Checksum(data[snapshotHeader:], castagnoli):
		return nil, errSnapshotDamaged
	}
	f := new(snapshotFile)
	if err := gob.NewDecoder(bytes.NewReader(data[snapshotHeader:])).Decode(f); err != nil || f.Snapshot == nil {
		return nil, errSnapshotDamaged
	}
	return f, nil
}
