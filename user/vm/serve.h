/*
 * `skep-vm serve`: the command server and the engine in a host process. See serve.c.
 */
#ifndef SKEP_USER_VM_SERVE_H
#define SKEP_USER_VM_SERVE_H

int serve_main(int argc, char **argv);

#endif
