package fusetest

import "os"

// roles are the functions of this program when it is started again, by environment
// variable.
var roles = map[string]func(value string){}

// restartable says that this program acts in its roles when it is started again.
// Without that it would run the tests once more.
var restartable bool

// Role registers what this program acts as when it is started with an environment
// variable. The function gets its value and must not return. A package registers its
// roles in init.
func Role(variable string, main func(value string)) { roles[variable] = main }

// Restartable says whether the program has called [RunTests], [Run] or [MaybeShim],
// so that it can be started again in a [Role].
func Restartable() bool { return restartable }

// MaybeShim must be the first call of main or TestMain of every program that has a
// server, or calls a helper with failing system calls, limits and the like; [RunTests]
// does it. In a process that was started in a [Role] it does not return.
func MaybeShim() {
	restartable = true
	for variable, main := range roles {
		if value, ok := os.LookupEnv(variable); ok {
			main(value)
		}
	}
}
