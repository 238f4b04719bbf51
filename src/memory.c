/*
** memory.c: where the core's memory comes from.
*/
#include "core.h"

#include <stdlib.h>

/* Set before the first object is made, and then only read. */
static desist_allocator allocator;
static void *allocator_data;

void desist_set_allocator(desist_allocator function, void *data) {
  allocator = function;
  allocator_data = data;
}

void *desist__allocate(size_t size) {
  return allocator == NULL ? malloc(size)
                           : allocator(allocator_data, NULL, 0, size);
}

void desist__free(void *block, size_t size) {
  if (allocator == NULL)
    free(block);
  else if (block != NULL)
    (void)allocator(allocator_data, block, size, 0);
}
