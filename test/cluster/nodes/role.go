package nodes

import "os"

// role is set in the environment of a process that is a node: what it is.
const role = "BERTH_TEST_NODE"

// Role returns what this process is: the role that Start was given; empty in the first process.
func Role() string { return os.Getenv(role) }
