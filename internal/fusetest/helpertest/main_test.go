package helpertest

import (
	"os"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }
