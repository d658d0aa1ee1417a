# Tests: unit (Criterion, sanitized), data (programs as data), system (QEMU).
