# Host programs: skepctl, skep-vm, libskep, and the eBPF objects of progs/.
