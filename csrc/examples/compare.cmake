# Runs PROGRAM; fails unless it ends with 0 and prints exactly what is in the file EXPECTED.
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE found ERROR_VARIABLE errors RESULT_VARIABLE result)
file(READ ${EXPECTED} expected)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} ended with ${result}: ${errors}")
endif()
if(NOT found STREQUAL expected)
    message(FATAL_ERROR "${PROGRAM} printed\n${found}\nexpected, as in ${EXPECTED}\n${expected}")
endif()
