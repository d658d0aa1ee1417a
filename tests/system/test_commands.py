"""Every verb of skepctl once more, against a booted machine: the cases of test_client.py."""

import unittest

import test_client
from guest import Guest


class Machine(Guest):
    """A guest in the place of test_client.Server: started when made."""

    def __init__(self):
        super().__init__(boot="pvh", limit=90)
        self.__enter__()
        self.wait_ready()


class Maps(test_client.Maps):
    server_class = Machine


class Programs(test_client.Programs):
    server_class = Machine


class BadObjects(test_client.BadObjects):
    server_class = Machine


if __name__ == "__main__":
    unittest.main()
