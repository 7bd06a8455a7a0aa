package session

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

const (
	idBytes     = 16
	secretBytes = 32
	tokenText   = (idBytes + secretBytes) * 4 / 3 // 48 bytes need no padding
)

// newToken returns a token, the id in it, and what a store keeps of its secret.
func newToken() (token, id string, digest [sha256.Size]byte) {
	var bytes [idBytes + secretBytes]byte
	_, _ = rand.Read(bytes[:]) // it never fails: crypto/rand ends the process instead
	return encodeToken(bytes)
}

// newSecret returns another token for a session.
func newSecret(id [idBytes]byte) (token string, digest [sha256.Size]byte) {
	var bytes [idBytes + secretBytes]byte
	copy(bytes[:], id[:])
	_, _ = rand.Read(bytes[idBytes:])
	token, _, digest = encodeToken(bytes)
	return token, digest
}

// readID returns the bytes of an id.
func readID(id string) (bytes [idBytes]byte, ok bool) {
	decoded, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(decoded) != idBytes {
		return bytes, false
	}
	return [idBytes]byte(decoded), true
}

func encodeToken(bytes [idBytes + secretBytes]byte) (token, id string, digest [sha256.Size]byte) {
	return base64.RawURLEncoding.EncodeToString(bytes[:]), base64.RawURLEncoding.EncodeToString(bytes[:idBytes]), sha256.Sum256(bytes[idBytes:])
}

// readToken is the reverse.
func readToken(token string) (id string, digest [sha256.Size]byte, ok bool) {
	if len(token) != tokenText {
		return "", digest, false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(decoded) != idBytes+secretBytes {
		return "", digest, false // a line break is skipped by the decoder
	}
	_, id, digest = encodeToken([idBytes + secretBytes]byte(decoded))
	return id, digest, true
}

// matches compares in constant time.
func matches(a, b *[sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
