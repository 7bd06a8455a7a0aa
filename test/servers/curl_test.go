package servers

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not on this machine: what it would see is not tested here")
	}
	dir := t.TempDir()
	body := filepath.Join(dir, "body")
	require.NoError(t, os.WriteFile(body, Payload(1<<20), 0o600))
	version, err := exec.Command(curl, "--version").Output()
	require.NoError(t, err)
	for _, test := range []struct {
		name, option, saw string
		of                Case
	}{
		{"HTTP 1.1", "--http1.1", "200 1.1 1048576", web()},
		{"HTTP 1.1 over TLS", "--http1.1", "200 1.1 1048576", web2()},
		{"HTTP 2", "--http2", "200 2 1048576", web2()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.option == "--http2" && !bytes.Contains(version, []byte("HTTP2")) {
				t.Skip("this machine's curl has no HTTP/2: what it would see is not tested here")
			}
			onEach(t, test.of, func(t *testing.T, kind, addr string) {
				_, port, err := net.SplitHostPort(addr)
				require.NoError(t, err)
				host := certificate.Leaf.DNSNames[0]
				url := "http://" + host + ":" + port
				if test.of.Name == web2().Name {
					url = "https://" + host + ":" + port
				}
				got := filepath.Join(dir, kind)
				command := exec.Command(curl, test.option, "--silent", "--show-error", "--max-time", "60", "--noproxy", "*",
					"--insecure", "--resolve", host+":"+port+":127.0.0.1", "--data-binary", "@"+body, "--output", got,
					"--write-out", "%{http_code} %{http_version} %{size_download}", url)
				var failure bytes.Buffer
				command.Stderr = &failure
				saw, err := command.Output()
				require.NoError(t, err, failure.String())
				assert.Equal(t, test.saw, string(saw))
				mirrored, err := os.ReadFile(got)
				require.NoError(t, err)
				assert.NoError(t, same(Payload(1<<20), mirrored))
			})
		})
	}
}
