//go:build !amd64

package races

// Threads are taken over on amd64 alone: registers are an architecture's own.
const tracerEnv = "ATTACKS_TRACER"

func tracerMain() int { return 1 }
