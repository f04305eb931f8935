// Command probe prints, in the first moment of init, what package entry left: a
// line of facts, and one for each thread.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

func init() {
	at, setid := entry.AtStart()
	fmt.Printf("ran=%v setid=%v euid=%d nnp=%v permitted=%x dumpable=%d GOX=%q _OX=%q OTHER=%q args=%q processors=%d err=%v\n", entry.Ran(), setid,
		at.EUID, at.NoNewPrivs, at.Permitted, dumpable(), os.Getenv("GOX"), os.Getenv("_OX"), os.Getenv("OTHER"), strings.Join(os.Args[1:], "+"), runtime.GOMAXPROCS(0), entry.Err())
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		panic(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			panic(err)
		}
		fmt.Println(line(string(text)))
	}
	os.Exit(0)
}

// line is what matters of a thread's status.
func line(status string) string {
	var fields []string
	for text := range strings.Lines(status) {
		name, value, _ := strings.Cut(text, ":")
		switch name {
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs":
			fields = append(fields, name+"="+strings.Join(strings.Fields(value), ","))
		}
	}
	return strings.Join(fields, " ")
}

func dumpable() int {
	value, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		panic(err)
	}
	return value
}

func main() {}
