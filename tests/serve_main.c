/*
 * build/skep-serve: `skep-vm serve` by itself, for tests of clients that need nothing else of
 * skep-vm.
 */
#include "user/vm/serve.h"

int main(int argc, char **argv)
{
    return serve_main(argc, argv);
}
