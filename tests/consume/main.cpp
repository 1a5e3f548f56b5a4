// An outside program: it knows the package by its name only, and tells which library it got.

#include <fairway/version.hpp>

#include <iostream>

int main() {
  std::cout << "fairway " << fairway::version() << '\n';
}
